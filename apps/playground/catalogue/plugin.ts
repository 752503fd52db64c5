import { fileURLToPath } from 'node:url'
import { type Alias, type Plugin, runnerImport } from 'vite'

/** Modules of plain data, and the files that collect them when the app is built. */
const collectors: Readonly<Record<string, string>> = {
  'virtual:catalogue': './collect.ts',
  'virtual:claims': './claims.ts',
  'virtual:lesson-equations': './lesson-equations.ts',
  'virtual:paper-pages': './paper-pages.ts',
}

/** Gives the page what it shows of papers and tasks as plain data, so that their code is loaded only to be run. */
export function cataloguePlugin(alias: Alias[]): Plugin {
  return {
    name: 'catalogue',
    resolveId: (source) => (Object.hasOwn(collectors, source) ? `\0${source}` : undefined),
    async load(source) {
      const file = source.startsWith('\0') ? collectors[source.slice(1)] : undefined
      if (file === undefined) return undefined
      const path = fileURLToPath(new URL(file, import.meta.url))
      const { module, dependencies } = await runnerImport<{ collected: unknown }>(path, {
        configFile: false,
        resolve: { alias },
        logLevel: 'warn',
      })
      for (const dependency of dependencies) this.addWatchFile(dependency)
      return `export default JSON.parse(${JSON.stringify(JSON.stringify(module.collected))})`
    },
  }
}
