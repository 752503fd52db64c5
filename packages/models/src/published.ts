/** Reads settings of a published config.json, with errors that name the key. */
export type PublishedConfig = Readonly<Record<string, unknown>>

/** @throws TypeError if the key is missing (and has no fallback) or is no number */
export function numberOf(config: PublishedConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback
  if (typeof value === 'number') return value
  throw new TypeError(
    `config.json ${key}: expected a number, got ${value === undefined ? 'nothing' : JSON.stringify(value)}.`,
  )
}

/** A setting that is true or false, `fallback` where it is absent. @throws TypeError if the key holds anything else */
export function flagOf(config: PublishedConfig, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback
  if (typeof value === 'boolean') return value
  throw new TypeError(`config.json ${key}: expected true or false, got ${JSON.stringify(value)}.`)
}

/** A group of settings, empty where it is absent. @throws TypeError if the key holds anything else */
export function objectOf(config: PublishedConfig, key: string): PublishedConfig {
  const value = config[key] ?? {}
  if (typeof value === 'object' && !Array.isArray(value)) return value as PublishedConfig
  throw new TypeError(`config.json ${key}: expected an object, got ${JSON.stringify(value)}.`)
}

/** @throws RangeError if the key holds a value that this architecture does not have */
export function oneOf<const V extends string | number>(
  config: PublishedConfig,
  key: string,
  values: readonly V[],
  fallback: V,
): V {
  const value = (config[key] ?? fallback) as V
  if (values.includes(value)) return value
  throw new RangeError(`config.json ${key}: expected one of ${values.join(', ')}, got ${JSON.stringify(value)}.`)
}
