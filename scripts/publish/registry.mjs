// A registry of npm's own protocol on loopback: the packages packed here, and what the workspace has installed.
import { execFile } from 'node:child_process'
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../setup.mjs'

const run = promisify(execFile)

/** What nobody imports, and most of the bytes of tfjs. */
const unread = ['node_modules', '*.map', '*_test.*'].map((pattern) => `--exclude=${pattern}`)

/** 130 MB of Dawn, which is optional and of no use to a bundle or to types: a registry may lack what is optional. */
const left = 'webgpu'

/** Every third-party package that is installed, by name: where each of its versions lies. */
function installed() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const found = new Map()
  for (const path of Object.keys(packages)) {
    const name = path.split('node_modules/').at(-1)
    const manifest = join(root, path, 'package.json')
    if (name === left || !path.includes('node_modules/') || packages[path].link || !existsSync(manifest)) continue
    const { version } = packages[path]
    const versions = found.get(name) ?? new Map()
    found.set(name, versions.set(version, { folder: join(root, path), manifest }))
  }
  return found
}

/**
 * Serves `tarballs` (of packages packed here) and the installed packages, so that `npm install` resolves as it does for
 * anybody else, with no network. Nothing that the workspace has not installed is there to be had.
 *
 * @param tarballs  `{ name, version, file, manifest }` of each
 * @param folder  where tarballs of installed packages are written when they are asked for
 */
export async function serveRegistry(tarballs, folder) {
  const known = installed()
  for (const { name, version, file, manifest } of tarballs) known.set(name, new Map([[version, { file, manifest }]]))
  const packed = new Map()

  const tarball = (name, version) => {
    const { file, folder: source } = known.get(name).get(version)
    if (file) return file
    const target = join(folder, `${name.replace('/', '+')}-${version}.tar`)
    if (!packed.has(target)) {
      const made = run('tar', ['-cf', target, ...unread, '-C', dirname(source), basename(source)])
      packed.set(
        target,
        made.then(() => target),
      )
    }
    return packed.get(target)
  }

  const packument = (name, base) => {
    const versions = Array.from(known.get(name), ([version, { manifest }]) => {
      const { scripts: _, ...rest } =
        typeof manifest === 'string' ? JSON.parse(readFileSync(manifest, 'utf8')) : manifest
      return [version, { ...rest, dist: { tarball: `${base}/-/${encodeURIComponent(name)}/${version}.tgz` } }]
    })
    return { name, 'dist-tags': { latest: versions.at(-1)[0] }, versions: Object.fromEntries(versions) }
  }

  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname).slice(1)
    const [, name, version] = /^-\/(.+)\/([^/]+)\.tgz$/.exec(path) ?? []
    if (known.get(name)?.has(version)) createReadStream(await tarball(name, version)).pipe(response)
    else if (known.has(path)) response.end(JSON.stringify(packument(path, `http://${request.headers.host}`)))
    else response.writeHead(404).end('{}')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}
