// npm run audit -- --advisories <folder>: what a clone of the GitLab Advisory Database says of the lock file, offline.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { satisfies } from 'semver'
import { parse } from 'yaml'

/** The name of the package at a path of a lock file. */
export const nameOf = (path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

/** Every version of every package of others in a lock file, by name; those that only build and test too. */
function locked(lock) {
  const versions = new Map()
  for (const [path, { version, link }] of Object.entries(lock.packages)) {
    if (!path.includes('node_modules/') || link) continue
    const name = nameOf(path)
    versions.set(name, (versions.get(name) ?? new Set()).add(version))
  }
  return versions
}

const yamlIn = (folder) => readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.yml'))

/**
 * Advisories of the folder `npm/<package>/<id>.yml` of such a clone that name a package of the lock file, the faults among
 * them, which are those of a locked version, and the day of the newest of all.
 */
export function advisoriesIn(folder, lock) {
  const npm = join(folder, 'npm')
  if (!existsSync(npm)) throw new Error(`${folder}: expected a clone with a folder npm in it, got none.`)
  const versions = locked(lock)
  const faults = []
  let named = 0
  for (const [name, all] of versions) {
    const about = join(npm, name)
    if (!existsSync(about)) continue
    for (const file of readdirSync(about).filter((entry) => entry.endsWith('.yml'))) {
      named++
      const {
        identifier,
        title,
        affected_range: range,
        fixed_versions: fixed,
      } = parse(readFileSync(join(about, file), 'utf8'))
      for (const version of all) {
        if (!satisfies(version, range, { includePrerelease: true })) continue
        const remedy = fixed?.length > 0 ? ` Fixed in ${fixed.join(', ')}.` : ''
        faults.push(`${name}@${version}: ${identifier}, ${title}: expected a version outside ${range}.${remedy}`)
      }
    }
  }
  const days = yamlIn(npm).map((file) => /^pubdate: "?([\d-]+)/m.exec(readFileSync(join(npm, file), 'utf8'))?.[1] ?? '')
  return { packages: versions.size, named, newest: days.sort().at(-1), faults }
}
