// npm run installs: installs what was packed into empty projects elsewhere, and uses it there as its READMEs say.
// With --quick one project stands for all.
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../setup.mjs'
import { bundlers, copiesOf, install, runsInNode, typeErrors } from './project.mjs'
import { serveRegistry } from './registry.mjs'

const tarballs = readdirSync(join(root, 'packages')).map((name) => {
  const folder = join(root, 'packages', name)
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const [file] = readdirSync(join(folder, 'packed')).filter((item) => item.endsWith('.tgz'))
  return { name: manifest.name, version: manifest.version, manifest, file: join(folder, 'packed', file) }
})
const all = tarballs.map(({ name }) => name)

/** The first TypeScript example of a README. */
function example(file) {
  const found = /^```ts\n([\s\S]*?)^```/m.exec(readFileSync(join(root, file), 'utf8'))
  if (found === null) throw new Error(`${file}: expected an example in \`\`\`ts, found none.`)
  return found[1]
}

const selections = [
  {
    title: 'only @mneme/recurrent',
    packages: ['@mneme/recurrent', '@tensorflow/tfjs-backend-cpu'],
    lines: example('packages/recurrent/README.md'),
    ours: ['@mneme/core-tensor', '@mneme/recurrent'],
  },
  {
    title: 'only @mneme/models and one backend',
    packages: ['@mneme/models', '@tensorflow/tfjs-backend-cpu'],
    lines: example('packages/models/README.md'),
    ours: ['@mneme/attention', '@mneme/core-tensor', '@mneme/memory', '@mneme/models', '@mneme/recurrent'],
  },
  { title: 'everything', packages: [...all, '@tensorflow/tfjs-backend-wasm'], lines: example('README.md'), ours: all },
]

/** A file that takes the types of every subpath of some packages. */
function everyExport(names) {
  const subpaths = tarballs.flatMap(({ name, manifest }) => {
    if (!names.includes(name)) return []
    if (!manifest.exports['./*']) return Object.keys(manifest.exports).map((path) => name + path.slice(1))
    const files = readdirSync(join(root, 'packages', name.slice('@mneme/'.length), 'dist'), { recursive: true })
    return files.flatMap((file) => (file.endsWith('.js') ? [`${name}/${file.slice(0, -3).replaceAll('\\', '/')}`] : []))
  })
  const modules = subpaths.filter((path) => !path.endsWith('/package.json')).map((path) => path.replace(/\/index$/, ''))
  return modules.map((path, i) => `export type * as from${i} from '${path}'`).join('\n')
}

const quick = process.argv.includes('--quick')
const faults = []
const place = realpathSync(mkdtempSync(join(tmpdir(), 'mneme-installs-')))
const registry = await serveRegistry(tarballs, place)

async function check({ title, packages, lines, ours }, index) {
  const stages = []
  let before = performance.now()
  const stage = (name) => {
    stages.push(`${name} ${((performance.now() - before) / 1000).toFixed(1)} s`)
    before = performance.now()
  }
  const fault = (text) => faults.push(`${title}: ${text}`)
  const folder = join(place, `project-${index}`)
  await install(folder, packages, { registry: registry.url, cache: join(place, 'cache') })
  const got = readdirSync(join(folder, 'node_modules/@mneme')).map((name) => `@mneme/${name}`)
  if (got.join() !== ours.join()) fault(`expected ${ours.join(' ')} installed, got ${got.join(' ')}.`)
  for (const name of [...ours, '@tensorflow/tfjs-core']) {
    const copies = copiesOf(name, folder)
    if (copies.length !== 1) fault(`expected one ${name}, got ${copies.length}: ${copies.join(' ')}.`)
  }

  stage('install')

  writeFileSync(join(folder, 'lines.ts'), `${lines}\nexport {}\n`)
  const printed = await runsInNode(folder, 'lines')
  if (printed.trim() === '') fault('expected the lines to print something, got nothing.')
  stage('run')

  writeFileSync(join(folder, 'types.ts'), everyExport(ours))
  for (const resolution of ['bundler', 'nodenext']) {
    for (const error of typeErrors(folder, ['lines', 'types'], resolution)) fault(`types, ${resolution}: ${error}`)
  }
  stage('types')

  for (const [name, bundle] of Object.entries(bundlers)) {
    try {
      const { bytes, modules } = await bundle(folder, 'lines')
      const engines = modules.filter((path) => /tfjs-core\/dist\/(engine|tf-core[^/]*)\.js$/.test(path))
      if (engines.length !== 1) fault(`${name}: expected one tfjs-core, got ${engines.length}: ${engines.join(' ')}.`)
      stage(`${name} ${Math.round(bytes / 1024)} KB`)
    } catch (error) {
      fault(`${name}: ${error.message}`)
    }
  }
  console.log(`${title}: ${stages.join(', ')}`)
}

try {
  for (const [index, selection] of (quick ? [selections[1]] : selections).entries()) await check(selection, index)
} finally {
  registry.close()
  rmSync(place, { recursive: true, force: true })
}
for (const fault of faults) console.error(fault)
process.exit(faults.length > 0 ? 1 : 0)
