// In a package: packs it into packed/ as npm would publish it, and holds the tarball to publint and attw.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const folder = process.cwd()
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
const faults = []

rmSync(join(folder, 'packed'), { recursive: true, force: true })
mkdirSync(join(folder, 'packed'))
const said = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', 'packed'], {
  cwd: folder,
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
  shell: process.platform === 'win32',
})
const [{ filename, files }] = JSON.parse(said)
const paths = files.map(({ path }) => path)

for (const needed of ['LICENSE', 'README.md', 'package.json']) {
  if (!paths.includes(needed)) faults.push(`expected ${needed} in the package, got none. Add it to "files".`)
}
for (const path of paths) {
  if (/\.(test|bench)\.|^src\/|\.tsbuildinfo$/.test(path)) faults.push(`expected no ${path} in the package.`)
}
for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
  if (manifest.scripts?.[script]) faults.push(`expected no '${script}' script: nothing runs when somebody installs.`)
}

const { messages, pkg } = await publint({ pkgDir: folder, pack: 'npm', strict: true })
faults.push(...messages.map((message) => `publint: ${formatMessage(message, pkg)}`))

// a package of ES modules, for resolution `bundler` and `node16`; CommonJS gets it by import() or by Node 22's require
const expected = (problem) => problem.kind === 'CJSResolvesToESM' || problem.resolutionKind === 'node10'
const names = paths.flatMap((path) => /^dist\/(.+)\.js$/.exec(path)?.[1] ?? [])
const subpaths = manifest.exports['./*']
  ? names.map((name) => (name === 'index' ? '.' : `./${name}`))
  : Object.keys(manifest.exports).filter((name) => name !== './package.json')
const tarball = createPackageFromTarballData(readFileSync(join(folder, 'packed', filename)))
const { problems } = await checkPackage(tarball, { entrypoints: subpaths })
for (const problem of problems.filter((p) => !expected(p))) faults.push(`attw: ${JSON.stringify(problem)}`)

for (const fault of faults) console.error(`${manifest.name}: ${fault}`)
console.log(`${manifest.name}: ${filename}, ${paths.length} files, ${subpaths.length} subpaths.`)
process.exit(faults.length > 0 ? 1 : 0)
