// npm run sizes: writes docs/sizes.md, what each subpath export weighs; with --check only holds it to its budgets.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { root } from '../setup.mjs'

/** Gzipped bytes that an import may weigh; above it, the growth has to be found or argued for. */
const budgets = {
  /** The ground floor, whole: what an application pays that re-exports all of it. */
  '@mneme/core-tensor': 42 * 1024,
  /** One mechanism with all that it stands on. */
  mechanism: 15 * 1024,
  /** The architecture of one paper with all that it stands on: built and run. */
  architecture: 15 * 1024,
}

/** Papers whose function chooses among several architectures, each a function of its own too: what all may weigh. */
const manyForms = { titans: 19.5 * 1024 }

const mechanisms = ['attention', 'memory', 'recurrent']

const manifests = new Map(
  readdirSync(join(root, 'packages')).map((name) => {
    return [name, JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))]
  }),
)

/** Every subpath export of a package that is code, with the file behind it. */
function subpathsOf(name) {
  const { exports } = manifests.get(name)
  const dist = join(root, 'packages', name, 'dist')
  if (!exports['./*']) {
    return Object.entries(exports).flatMap(([path, { default: file }]) =>
      file ? [[path, join(dist, '..', file)]] : [],
    )
  }
  return readdirSync(dist, { recursive: true })
    .filter((file) => file.endsWith('.js'))
    .map((file) => file.slice(0, -3).replaceAll('\\', '/'))
    .map((path) => [path === 'index' ? '.' : `./${path}`, join(dist, `${path}.js`)])
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/**
 * What a bundler loads at once for one export of a file, or all: minified and gzipped, without tfjs and other people's
 * packages, whose import statements no application's bundle holds, and without what is only loaded when asked for.
 */
function measure(file, { what = '*', without = [] } = {}) {
  return measureText(`export ${what} from ${JSON.stringify(file)}`, without)
}

/** The same of the text of a module. */
async function measureText(contents, without = []) {
  const others = /^(?!@mneme\/)[^./]/
  const apart = {
    name: 'apart',
    setup(plugins) {
      plugins.onResolve({ filter: /./ }, ({ path, kind }) => {
        const ours = without.some((name) => path === name || path.startsWith(`${name}/`))
        return kind === 'dynamic-import' || others.test(path) || ours ? { path, external: true } : undefined
      })
    },
  }
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: root },
    ...{ write: false, metafile: true, logLevel: 'silent', tsconfigRaw: '{}', plugins: [apart] },
    ...{ bundle: true, minify: true, format: 'esm', target: 'es2022', absWorkingDir: root },
  })
  const [{ inputs, exports }] = Object.values(metafile.outputs)
  const held = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0)
  const code = outputFiles[0].text.replace(/\bimport\s*(\*as \w+|\{[^}]*\})from"[^"]+";?/g, '')
  return { bytes: gzipSync(code, { level: 9 }).length, modules: held, exports }
}

/** Bytes of a file itself that a bundle keeps which uses nothing of it, whatever its package promises of side effects. */
async function unused(file) {
  const alone = {
    name: 'alone',
    setup(plugins) {
      plugins.onResolve({ filter: /./ }, ({ path }) =>
        path === file ? { path, namespace: 'alone' } : { path, external: true, sideEffects: false },
      )
      plugins.onLoad({ filter: /./, namespace: 'alone' }, () => ({ contents: readFileSync(file, 'utf8') }))
    },
  }
  const { metafile } = await build({
    stdin: { contents: `import ${JSON.stringify(file)}`, resolveDir: root },
    ...{ write: false, metafile: true, logLevel: 'silent', tsconfigRaw: '{}', plugins: [alone] },
    ...{ bundle: true, format: 'esm', target: 'es2022', absWorkingDir: root },
  })
  const [{ inputs }] = Object.values(metafile.outputs)
  return Object.values(inputs).reduce((total, { bytesInOutput }) => total + bytesInOutput, 0)
}

const registry = readFileSync(join(root, 'packages/models/dist/registry.js'), 'utf8')
const papers = Array.from(registry.matchAll(/import\("\.\/(.+)\.js"\)/g), ([, key]) => key)
const isPaper = (name, path) => name === 'models' && papers.includes(path.slice(2))

const faults = []
const rows = new Map()
for (const name of manifests.keys()) {
  rows.set(name, await Promise.all(subpathsOf(name).map((subpath) => row(name, subpath))))
}

async function row(name, [path, file]) {
  const id = `@mneme/${name}${path.slice(1)}`
  const within = (limit, given, remedy = 'Split or lighten it.') => {
    if (given > limit) faults.push(`${id}: expected at most ${kb(limit)} KB, got ${kb(given)} KB. ${remedy}`)
  }
  if (!isPaper(name, path)) {
    const { bytes } = await measure(file)
    if (budgets[id]) within(budgets[id], bytes)
    if (mechanisms.includes(name) && path !== '.') within(budgets.mechanism, bytes)
    return { id, bytes }
  }
  const key = path.slice(2)
  const architecture = key.replace(/-(\w)/g, (_, letter) => letter.toUpperCase())
  const { bytes, modules } = await measure(file, { what: `{ ${architecture} }` })
  const { bytes: whole } = await measure(file, { what: '{ default }' })
  const { bytes: own } = await measure(file, { what: `{ ${architecture} }`, without: ['@mneme/core-tensor'] })
  const kept = await unused(file)
  if (kept > 0) {
    faults.push(
      `${id}: expected a file that a bundle may leave out, got ${kept} bytes kept of it. Mark calls at its top level @__PURE__, and put spreads into ifUsed.`,
    )
  }
  within(manyForms[key] ?? budgets.architecture, bytes)
  const { exports } = await measure(file)
  const forms = await Promise.all(
    exports
      .filter((form) => manyForms[key] && form.startsWith(architecture) && form !== architecture)
      .map(async (form) => ({ form, bytes: (await measure(file, { what: `{ ${form} }` })).bytes })),
  )
  for (const { form, bytes } of forms) {
    within(budgets.architecture, bytes, `Split or lighten ${form}.`)
  }
  const found = modules.flatMap((module) => /^packages\/models\/dist\/([^/]+)\.js$/.exec(module)?.[1] ?? [])
  const strangers = found.filter((other) => papers.includes(other) && other !== key)
  if (strangers.length > 0) faults.push(`${id}: expected no other paper in it, got ${strangers.join(', ')}.`)
  return { id, bytes, whole, own, forms }
}

function kb(bytes) {
  return bytes === undefined ? '' : (bytes / 1024).toFixed(1)
}
const table = (name) => {
  const papers = name === 'models'
  return [
    `## @mneme/${name}`,
    '',
    `| import | KB |${papers ? ' with card and layout | beyond core-tensor |' : ''}`,
    `| --- | ---: |${papers ? ' ---: | ---: |' : ''}`,
    ...rows
      .get(name)
      .flatMap((r) => [
        `| \`${r.id}\` | ${kb(r.bytes)} |${papers ? ` ${kb(r.whole)} | ${kb(r.own)} |` : ''}`,
        ...(r.forms ?? []).map(({ form, bytes }) => `| \`${r.id}\`, \`${form}\` | ${kb(bytes)} | | |`),
      ]),
    '',
  ].join('\n')
}
const all = rows.get('models').filter(({ whole }) => whole !== undefined)
const most = (sizes) => kb(Math.max(...sizes))
const several = all.filter(({ forms }) => forms.length > 0)
const architectures = all.flatMap(({ bytes, forms }) => (forms.length > 0 ? forms.map((form) => form.bytes) : [bytes]))
const lines = several.map(({ id, bytes, forms }) => {
  const chooser = id.slice(id.lastIndexOf('/') + 1)
  return `\`${id}\` has ${forms.length} of them, each a function of its own; \`${chooser}\`, which chooses among them by its configuration, weighs all of them, ${kb(bytes)} KB.`
})
const training =
  "export { minRnn } from '@mneme/models/min-rnn'; export { lossOf, valueAndGrads } from '@mneme/core-tensor'"
const added = (await measureText(training)).bytes - all.find(({ id }) => id.endsWith('/min-rnn')).bytes
const page = `# Sizes

What each import weighs, minified and gzipped, in KB of 1024 bytes: our code with all of ours that it stands on, apart
from tfjs and other packages, and apart from what is loaded only when it is asked for: sessions, other papers,
tokenizers. Of a paper its architecture is taken (\`import { minRnn } from '@mneme/models/min-rnn'\`), which is what it
takes to build and run it; to train it, \`lossOf\` and \`valueAndGrads\` add ${kb(added)} KB, the same for all. Its default
export brings the card and the layout of published checkpoints. Of other files all there is; a bundler drops what is not
used. Generated by \`npm run sizes\`.

Held to ${kb(budgets.mechanism)} KB: every mechanism of attention, memory and recurrent, and each of the ${architectures.length} architectures of the
${all.length} papers, which weigh at most ${most(architectures)} KB. No paper brings another, and none leaves anything in a bundle that does not
use it.
${lines.join('\n')}

${[...rows.keys()].map(table).join('\n')}`

const target = join(root, 'docs/sizes.md')
for (const fault of faults) console.error(fault)
if (!process.argv.includes('--check')) writeFileSync(target, page)
else if (!existsSync(target)) faults.push('docs/sizes.md is missing. Run: npm run sizes')
const count = [...rows.values()].flat().length
console.log(`sizes: ${count} subpaths, ${faults.length} over budget.`)
process.exit(faults.length > 0 ? 1 : 0)
