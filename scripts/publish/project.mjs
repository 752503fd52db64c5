// What somebody does in a project of their own: install, run, check types, bundle.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import commonjs from '@rollup/plugin-commonjs'
import json from '@rollup/plugin-json'
import nodeResolve from '@rollup/plugin-node-resolve'
import { build as esbuild } from 'esbuild'
import { rollup } from 'rollup'
import ts from 'typescript'
import { build as vite } from 'vite'

const run = promisify(execFile)

/** An empty project outside the workspace with `packages` installed from `registry`. */
export async function install(folder, packages, { registry, cache }) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
  await run('npm', ['install', ...packages, '--registry', registry, '--cache', cache, ...quiet], {
    cwd: folder,
    shell: process.platform === 'win32',
  })
}

/** Folders of every copy of a package below a project. */
export function copiesOf(name, folder) {
  const modules = join(folder, 'node_modules')
  if (!existsSync(modules)) return []
  const names = readdirSync(modules).flatMap((item) =>
    item.startsWith('@') ? readdirSync(join(modules, item)).map((inner) => `${item}/${inner}`) : [item],
  )
  return names.flatMap((item) => [
    ...(item === name ? [join(modules, item)] : []),
    ...copiesOf(name, join(modules, item)),
  ])
}

/** Runs a TypeScript file as an ES module in Node, its types taken off; resolves with what it wrote. */
export async function runsInNode(folder, name) {
  const text = readFileSync(join(folder, `${name}.ts`), 'utf8')
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
  writeFileSync(join(folder, `${name}.mjs`), ts.transpileModule(text, { compilerOptions: options }).outputText)
  const { stdout } = await run('node', [`${name}.mjs`], { cwd: folder, timeout: 120_000 })
  return stdout
}

/** The libraries of TypeScript itself are read once for all programs. */
const libraries = new Map()
function compilerHost(options) {
  const host = ts.createCompilerHost(options)
  const { getSourceFile } = host
  host.getSourceFile = (file, ...rest) => {
    if (!/\/typescript\/lib\/lib\./.test(file)) return getSourceFile(file, ...rest)
    if (!libraries.has(file)) libraries.set(file, getSourceFile(file, ...rest))
    return libraries.get(file)
  }
  return host
}

/** Errors of types in the files and in what they take from our packages, under one way of resolving modules. */
export function typeErrors(folder, names, resolution) {
  const module = resolution === 'nodenext' ? ts.ModuleKind.NodeNext : ts.ModuleKind.ESNext
  const moduleResolution =
    resolution === 'nodenext' ? ts.ModuleResolutionKind.NodeNext : ts.ModuleResolutionKind.Bundler
  const files = names.map((name) => join(folder, `${name}.ts`))
  const options = {
    module,
    moduleResolution,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts', 'lib.esnext.disposable.d.ts'],
    types: [],
    typeRoots: [],
    strict: true,
    noEmit: true,
  }
  const program = ts.createProgram(files, options, compilerHost(options))
  const ours = (file) => files.includes(file.fileName) || file.fileName.includes('node_modules/@mneme/')
  return program
    .getSourceFiles()
    .filter(ours)
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
}

/**
 * Bundles the file for a browser. Each resolves with the bytes it made and the paths of the modules it took, and throws
 * what the bundler says against our packages, warnings included.
 */
export const bundlers = {
  async esbuild(folder, name) {
    const { outputFiles, metafile, warnings } = await esbuild({
      ...{ absWorkingDir: folder, entryPoints: [`${name}.mjs`], outdir: 'esbuild', tsconfigRaw: '{}' },
      ...{ bundle: true, minify: true, splitting: true, format: 'esm', platform: 'browser', target: 'es2022' },
      ...{ write: false, metafile: true, logLevel: 'silent' },
    })
    if (warnings.length > 0) throw new Error(warnings.map(({ text }) => text).join('; '))
    const bytes = outputFiles.reduce((total, { contents }) => total + contents.length, 0)
    return { bytes, modules: Object.keys(metafile.inputs) }
  },
  async rollup(folder, name) {
    const warnings = []
    const bundle = await rollup({
      input: join(folder, `${name}.mjs`),
      plugins: [nodeResolve({ browser: true }), commonjs(), json()],
      onwarn: (warning) => warnings.push(warning),
    })
    const { output } = await bundle.generate({ format: 'es' })
    const ours = warnings.filter(({ id, message }) => /@mneme/.test(`${id} ${message}`))
    if (ours.length > 0) throw new Error(ours.map(({ message }) => message).join('; '))
    return sizeOf(output)
  },
  async vite(folder, name) {
    writeFileSync(join(folder, 'index.html'), `<script type="module" src="./${name}.mjs"></script>`)
    const { output } = await vite({
      ...{ root: folder, configFile: false, logLevel: 'silent' },
      build: { write: false, target: 'es2022' },
    })
    return sizeOf(output)
  },
}

function sizeOf(output) {
  const chunks = output.filter(({ type }) => type === 'chunk')
  return {
    bytes: chunks.reduce((total, { code }) => total + code.length, 0),
    modules: chunks.flatMap(({ modules }) => Object.keys(modules)),
  }
}
