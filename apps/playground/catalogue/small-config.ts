export type Settings = Readonly<Record<string, unknown>>

const width = 64
const layers = 2

/**
 * Settings with which a paper trains in a tab within minutes: width 64, two layers, and what grows with the width
 * (numbers of heads, inner widths) in proportion. Only what differs from the paper's defaults.
 *
 * @param build throws if the paper refuses the settings; the plainer of two choices is then taken
 */
export function smallConfig(config: Settings, build: (overrides: Settings) => void): Settings {
  for (const choice of [scaled(config), plain(config)]) {
    try {
      build(choice)
      return choice
    } catch (error) {
      console.debug(`smallConfig: ${(error as Error).message}`)
    }
  }
  return {}
}

function plain(config: Settings): Settings {
  const { dModel, nLayers } = config
  return {
    ...(typeof dModel === 'number' && dModel > width && { dModel: width }),
    ...(typeof nLayers === 'number' && nLayers > layers && { nLayers: layers }),
  }
}

function scaled(config: Settings): Settings {
  const { dModel } = config
  const ratio = typeof dModel === 'number' ? Math.min(1, width / dModel) : 1
  const changes: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(config)) {
    if (typeof value !== 'number' || ratio === 1) continue
    if (/^n\w*Heads$/.test(key)) changes[key] = Math.max(1, Math.round(value * ratio))
    // the width of one head belongs to the mechanism and stays
    else if (/^d[A-Z]/.test(key) && key !== 'dHead') changes[key] = Math.max(8, 8 * Math.round((value * ratio) / 8))
  }
  const all = { ...changes, ...plain(config) }
  return Object.fromEntries(Object.entries(all).filter(([key, value]) => value !== config[key]))
}
