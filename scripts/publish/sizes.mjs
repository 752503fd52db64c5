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
  /** One paper beyond the ground floor that all share: its file, its mechanisms, its published layouts. */
  paper: 15 * 1024,
  /** Four forms of the paper, and the body that reads what titans-pytorch trains. */
  '@mneme/models/titans': 16 * 1024,
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
 * What a bundler would load at once for `export * from` a file, or for one export of it: minified and gzipped, without tfjs and other people's
 * packages, and without what is only loaded when asked for.
 */
async function measure(file, { what = '*', without = [] } = {}) {
  const others = /^(?!@mneme\/)[^./]/
  const apart = {
    name: 'apart',
    setup(plugins) {
      plugins.onResolve({ filter: /^[^./]/ }, ({ path }) => {
        const left = others.test(path) || without.some((name) => path === name || path.startsWith(`${name}/`))
        return left ? { path, external: true } : undefined
      })
    },
  }
  const { outputFiles, metafile } = await build({
    stdin: { contents: `export ${what} from ${JSON.stringify(file)}`, resolveDir: root },
    ...{ outdir: join(root, 'sizes'), write: false, metafile: true, logLevel: 'silent', tsconfigRaw: '{}' },
    ...{ bundle: true, minify: true, splitting: true, format: 'esm', target: 'es2022', absWorkingDir: root },
    plugins: [apart],
  })
  const { outputs } = metafile
  const atOnce = new Set()
  const follow = (path) => {
    if (atOnce.has(path) || !outputs[path]) return
    atOnce.add(path)
    for (const { path: next, kind } of outputs[path].imports) if (kind === 'import-statement') follow(next)
  }
  follow('sizes/stdin.js')
  const code = outputFiles.filter(({ path }) => atOnce.has(path.slice(root.length).replaceAll('\\', '/')))
  const modules = [...atOnce].flatMap((path) => Object.keys(outputs[path].inputs))
  return { bytes: gzipSync(Buffer.concat(code.map(({ contents }) => contents)), { level: 9 }).length, modules }
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
  const what = isPaper(name, path) ? '{ default }' : '*'
  const { bytes, modules } = await measure(file, { what })
  const id = `@mneme/${name}${path.slice(1)}`
  const within = (limit, given, what = '') => {
    if (given > limit) faults.push(`${id}: expected at most ${limit} bytes${what}, got ${given}. Split or lighten it.`)
  }
  if (budgets[id] && !isPaper(name, path)) within(budgets[id], bytes)
  if (mechanisms.includes(name) && path !== '.') within(budgets.mechanism, bytes)
  if (!isPaper(name, path)) return { id, bytes }
  const { bytes: own } = await measure(file, { what, without: ['@mneme/core-tensor'] })
  within(budgets[id] ?? budgets.paper, own, ' beyond core-tensor')
  const found = modules.flatMap((module) => /^packages\/models\/dist\/([^/]+)\.js$/.exec(module)?.[1] ?? [])
  const strangers = found.filter((key) => papers.includes(key) && key !== path.slice(2))
  if (strangers.length > 0) faults.push(`${id}: expected no other paper in it, got ${strangers.join(', ')}.`)
  return { id, bytes, own }
}

const kb = (bytes) => (bytes === undefined ? '' : (bytes / 1024).toFixed(1))
const table = (name) => {
  const own = name === 'models'
  return [
    `## @mneme/${name}`,
    '',
    `| import | KB |${own ? ' KB beyond core-tensor |' : ''}`,
    `| --- | ---: |${own ? ' ---: |' : ''}`,
    ...rows.get(name).map((r) => `| \`${r.id}\` | ${kb(r.bytes)} |${own ? ` ${kb(r.own)} |` : ''}`),
    '',
  ].join('\n')
}
const page = `# Sizes

What each import weighs, minified and gzipped, in KB of 1024 bytes: our code with all of ours that it stands on, apart from
tfjs and other packages, and apart from what is loaded only when it is asked for. Of a
paper its default export is taken, of others all there is; a bundler drops what is not used. Generated by \`npm run sizes\`.

Held to: ${kb(budgets.mechanism)} KB for a mechanism of attention, memory or recurrent with all it stands on; ${kb(budgets.paper)} KB for a paper
beyond the ground floor, which all papers share (${kb(budgets['@mneme/models/titans'])} KB for Titans, whose four forms and their port are one file);
no paper brings another.

${[...rows.keys()].map(table).join('\n')}`

const target = join(root, 'docs/sizes.md')
for (const fault of faults) console.error(fault)
if (!process.argv.includes('--check')) writeFileSync(target, page)
else if (!existsSync(target)) faults.push('docs/sizes.md is missing. Run: npm run sizes')
const count = [...rows.values()].flat().length
console.log(`sizes: ${count} subpaths, ${faults.length} over budget.`)
process.exit(faults.length > 0 ? 1 : 0)
