/** Changelogs for readers: what a change means, without hashes; of the packages that it stands on one line each. */
module.exports = {
  getReleaseLine: async ({ summary }) => {
    if (summary.startsWith('- ')) return summary.trim()
    return `- ${summary.trim().replaceAll('\n', '\n  ')}`
  },
  getDependencyReleaseLine: async (_changesets, updated) =>
    updated.map(({ name, newVersion }) => `- Stands on \`${name}\` ${newVersion}.`).join('\n'),
}
