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
  /** The architecture of one paper with all that it stands on: built, trained and run. */
  architecture: 15 * 1024,
}

/**
 * Architectures above it, by their own budgets in KB. Softmax attention with its windows, tiles and gradient is 7 KB
 * beside a ground floor of 11; the others here have several forms in one file.
 */
const larger = {
  armt: 22,
  'artificial-hippocampus': 18.5,
  bert: 17.5,
  'block-recurrent-transformer': 19,
  'blockwise-ring': 18,
  'compressive-transformer': 18.5,
  'forgetting-transformer': 17.5,
  gateloop: 15.5,
  griffin: 21,
  'infini-attention': 17,
  'landmark-attention': 20.5,
  lm2: 20,
  memformer: 21,
  'resformer-reservoir': 20,
  'resformer-value-residual': 19,
  retnet: 16,
  rmt: 21,
  'rmt-1m': 18.5,
  rwkv: 17.5,
  titans: 27,
  tova: 19,
  transformer: 20.5,
  'transformer-xl': 17.5,
  'universal-transformer': 19.5,
  xlstm: 17.5,
}

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
async function measure(file, { what = '*', without = [] } = {}) {
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
    stdin: { contents: `export ${what} from ${JSON.stringify(file)}`, resolveDir: root },
    ...{ write: false, metafile: true, logLevel: 'silent', tsconfigRaw: '{}', plugins: [apart] },
    ...{ bundle: true, minify: true, format: 'esm', target: 'es2022', absWorkingDir: root },
  })
  const [{ inputs }] = Object.values(metafile.outputs)
  const held = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0)
  const code = outputFiles[0].text.replace(/\bimport\s*(\*as \w+|\{[^}]*\})from"[^"]+";?/g, '')
  return { bytes: gzipSync(code, { level: 9 }).length, modules: held }
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
  const architecture = `{ ${key.replace(/-(\w)/g, (_, letter) => letter.toUpperCase())} }`
  const { bytes, modules } = await measure(file, { what: architecture })
  const { bytes: whole } = await measure(file, { what: '{ default }' })
  const { bytes: own } = await measure(file, { what: architecture, without: ['@mneme/core-tensor'] })
  within((larger[key] ?? 15) * 1024, bytes)
  if (larger[key] && bytes <= budgets.architecture) {
    faults.push(
      `${id}: expected more than ${kb(budgets.architecture)} KB, got ${kb(bytes)} KB. Take it off the list of larger ones.`,
    )
  }
  const found = modules.flatMap((module) => /^packages\/models\/dist\/([^/]+)\.js$/.exec(module)?.[1] ?? [])
  const strangers = found.filter((other) => papers.includes(other) && other !== key)
  if (strangers.length > 0) faults.push(`${id}: expected no other paper in it, got ${strangers.join(', ')}.`)
  return { id, bytes, whole, own }
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
    ...rows.get(name).map((r) => `| \`${r.id}\` | ${kb(r.bytes)} |${papers ? ` ${kb(r.whole)} | ${kb(r.own)} |` : ''}`),
    '',
  ].join('\n')
}
const all = rows.get('models').filter(({ whole }) => whole !== undefined)
const attention = rows.get('attention').find(({ id }) => id.endsWith('/softmax-attention'))
const small = all.filter(({ bytes }) => bytes <= budgets.architecture)
const large = all.filter((paper) => !small.includes(paper)).map(({ bytes }) => bytes)
const page = `# Sizes

What each import weighs, minified and gzipped, in KB of 1024 bytes: our code with all of ours that it stands on, apart
from tfjs and other packages, and apart from what is loaded only when it is asked for: sessions, other papers,
tokenizers. Of a paper its architecture is taken (\`import { minRnn } from '@mneme/models/min-rnn'\`), which is what it
takes to build it, train it and run it; its default export brings the card and the layout of published checkpoints.
Of other files all there is; a bundler drops what is not used. Generated by \`npm run sizes\`.

Held to ${kb(budgets.mechanism)} KB: every mechanism of attention, memory and recurrent, and ${small.length} of ${all.length} architectures; no
paper brings another. The other ${large.length} have budgets of their own in \`scripts/publish/sizes.mjs\`, from ${kb(Math.min(...large))} to
${kb(Math.max(...large))} KB. Most of them hold softmax attention, ${kb(attention.bytes)} KB with what it stands on; the rest have several forms in one.

${[...rows.keys()].map(table).join('\n')}`

const target = join(root, 'docs/sizes.md')
for (const fault of faults) console.error(fault)
if (!process.argv.includes('--check')) writeFileSync(target, page)
else if (!existsSync(target)) faults.push('docs/sizes.md is missing. Run: npm run sizes')
const count = [...rows.values()].flat().length
console.log(`sizes: ${count} subpaths, ${faults.length} over budget.`)
process.exit(faults.length > 0 ? 1 : 0)
