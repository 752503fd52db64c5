import { fileURLToPath } from 'node:url'
import preact from '@preact/preset-vite'
import { defineConfig, type Plugin } from 'vite'
import { cataloguePlugin } from './catalogue/plugin.ts'
import { kernelsVersion } from './kernels-version.ts'
import { offlinePlugin } from './offline/plugin.ts'
import { metaPolicy } from './policy.mjs'

const packages = fileURLToPath(new URL('../../packages', import.meta.url))

// as in vitest.config.ts: the app is built from the packages' sources
const alias = [
  { find: /^@mneme\/([^/]+)$/, replacement: `${packages}/$1/src/index.ts` },
  { find: /^@mneme\/([^/]+)\/(.+)$/, replacement: `${packages}/$1/src/$2.ts` },
]

/** Only in the build: the development server needs inline scripts. */
const policyPlugin: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    { tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content: metaPolicy }, injectTo: 'head-prepend' },
  ],
}

export default defineConfig({
  base: './',
  resolve: { alias },
  define: { __KERNELS__: JSON.stringify(kernelsVersion(packages)) },
  plugins: [preact(), cataloguePlugin(alias), policyPlugin, offlinePlugin()],
  worker: { format: 'es' },
  server: {
    headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
  },
  build: { target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 1500, reportCompressedSize: true },
})
