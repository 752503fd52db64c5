// npm run release:dry: what the next release would be, in a copy of what git has, with no network: versions, changelogs,
// and which packages one change of one package would release again.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../setup.mjs'

const changesets = join(root, 'node_modules/@changesets/cli/bin.js')

function manifests(folder) {
  return readdirSync(join(folder, 'packages')).map((name) => {
    const path = join(folder, 'packages', name)
    const changelog = join(path, 'CHANGELOG.md')
    return {
      ...JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')),
      changelog: existsSync(changelog) ? readFileSync(changelog, 'utf8') : '',
    }
  })
}

const versionsOf = (all) => Object.fromEntries(all.map(({ name, version }) => [name, version]))

/**
 * Versions all packages as a release would, then once more after a patch of one package alone.
 *
 * @returns `{ before, first, changelogs, second }`: versions by package, and the changelogs of the first release
 */
export function dryRelease(patched = '@mneme/recurrent') {
  const folder = mkdtempSync(join(tmpdir(), 'mneme-release-'))
  const git = (...args) => execFileSync('git', args, { cwd: folder, stdio: 'ignore' })
  const commit = () => {
    git('add', '--all')
    git('-c', 'user.name=release', '-c', 'user.email=release@localhost', 'commit', '--quiet', '-m', 'release')
  }
  const version = () => {
    execFileSync('node', [changesets, 'version'], { cwd: folder, stdio: 'ignore' })
    commit()
    return manifests(folder)
  }
  try {
    execFileSync('git', ['checkout-index', '--all', `--prefix=${folder}/`], { cwd: root })
    git('init', '--quiet', '--initial-branch=main')
    commit()
    const before = versionsOf(manifests(folder))
    const released = version()
    const changelogs = Object.fromEntries(released.map(({ name, changelog }) => [name, changelog]))
    writeFileSync(join(folder, '.changeset/one.md'), `---\n'${patched}': patch\n---\n\nOne thing is right again.\n`)
    commit()
    return { before, first: versionsOf(released), changelogs, second: versionsOf(version()) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === import.meta.filename) {
  const patched = process.argv[2] ?? '@mneme/recurrent'
  const { before, first, changelogs, second } = dryRelease(patched)
  for (const [name, text] of Object.entries(changelogs))
    console.log(`${name} ${before[name]} -> ${first[name]}\n\n${text}`)
  const again = Object.keys(second).filter((name) => second[name] !== first[name])
  console.log(
    `After that, a patch of ${patched} alone releases ${again.map((name) => `${name} ${second[name]}`).join(', ')}.`,
  )
}
