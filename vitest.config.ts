import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const packages = fileURLToPath(new URL('./packages', import.meta.url))

// packages are tested from their sources: no build stands between an edit and its test
const alias = [
  { find: /^@mneme\/([^/]+)$/, replacement: `${packages}/$1/src/index.ts` },
  { find: /^@mneme\/([^/]+)\/(.+)$/, replacement: `${packages}/$1/src/$2.ts` },
  // what the app's build collects is collected anew
  {
    find: 'virtual:catalogue',
    replacement: fileURLToPath(new URL('./apps/playground/catalogue/collect.ts', import.meta.url)),
  },
]

const laws = 'packages/*/src/**/*.laws.test.ts'

/** The laws run once on each backend; everything else runs once, on cpu. */
const backend = (name: string, include: string[], exclude: string[] = []) => ({
  resolve: { alias },
  test: {
    name,
    include,
    exclude: ['**/node_modules/**', '**/dist/**', ...exclude],
    env: { MNEME_BACKEND: name },
    setupFiles: ['./vitest.setup.ts'],
    pool: 'forks' as const,
    isolate: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      backend(
        'cpu',
        ['packages/*/src/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'scripts/**/*.test.ts'],
        ['**/*.wasm.test.ts', '**/*.webgpu.test.ts', '**/*.browser.test.ts'],
      ),
      backend('wasm', [laws, 'packages/*/src/**/*.wasm.test.ts']),
      // without a GPU these run on a software driver, some hundred times slower, where a law is tried on shorter inputs
      backend('webgpu', [
        'packages/{core-tensor,attention,recurrent,memory}/src/**/*.laws.test.ts',
        'packages/models/src/{registry-*,goldens}.laws.test.ts',
        'packages/*/src/**/*.webgpu.test.ts',
        'scripts/**/*.webgpu.test.ts',
      ]),
      {
        resolve: { alias },
        test: {
          name: 'browser',
          include: ['packages/*/src/**/*.browser.test.ts', 'apps/*/test/**/*.browser.test.ts'],
          pool: 'forks',
          testTimeout: 180_000,
          hookTimeout: 120_000,
          // what a page does, it does when the machine lets it
          expect: { poll: { timeout: 60_000 } },
        },
      },
    ],
  },
})
