import { withDefaults } from './config.js'

/** From, up to; `whole` where the number counts something. */
interface Limit {
  readonly least: number
  readonly most: number
  readonly whole: boolean
}

const count = (least: number, most: number): Limit => ({ least, most, whole: true })
const real = (least: number, most: number): Limit => ({ least, most, whole: false })

const width = count(1, 2 ** 20)
const rank = count(0, 2 ** 20)
const heads = count(1, 2 ** 16)
const layers = count(1, 10_000)
/** Layer numbers, in lists; and layers that may be absent. */
const places = count(0, 10_000)
/** Tokens or vectors that memory is taken for. */
const vectors = count(1, 2 ** 20)
const anyVectors = count(0, 2 ** 20)
/** Tokens that are filled up to that many. */
const filled = count(1, 2 ** 16)
/** Tokens that no memory is taken for before they are there. */
const tokens = count(1, 2 ** 31 - 1)
const anyTokens = count(0, 2 ** 31 - 1)
const ratio = real(2 ** -10, 2 ** 10)
const share = real(0, 1)
const size = real(0, 1e6)
const number = real(-1e6, 1e6)

/**
 * What the numbers of configurations may be: a word means the same in every paper and task. Beyond the upper ends is no
 * model that anybody has built, and a tensor, a table or a loop of that size would take all memory or never end.
 */
const limits: Readonly<Record<string, Limit>> = {
  ...all(width, 'dModel dHead dHidden dKey dMemory dState dAttention dReadout dRecurrent dReservoir'),
  ...all(width, 'memoryWidth valueWidth dtRank gateRank decayRank rateRank residualRank shiftRank mapBlock'),
  ...all(rank, 'dInner dEmbedding rotaryDims retrieved'),
  ...all(heads, 'nHeads nKvHeads nVHeads nGroups memoryHeads decoderHeads writerHeads slstmHeads components buckets'),
  ...all(layers, 'nLayers memoryDepth hops steps rolls'),
  ...all(places, 'decoderLayers updates recurrentLayers readLayers mixedLayers memoryLayers slstmAt'),
  ...all(vectors, 'maxDistance vectors tokenTypes positions'),
  ...all(anyVectors, 'memoryTokens slots persistent longterm sinks compressed memory convWidth slstmConvWidth'),
  ...all(filled, 'block'),
  ...all(tokens, 'segment chunk queryBlock keyBlock mlpBlock capacity rate devices'),
  ...all(anyTokens, 'window refresh backprop clampLength'),
  ...all(count(-1, 2 ** 24), 'padToken paddingId'),
  ...all(count(1, 2 ** 24), 'vocabulary cutoffs'),
  ...all(count(0, 2 ** 24), 'sourceVocabulary'),
  ...all(count(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), 'seed version'),
  ...all(ratio, 'expandK expandV expansion memoryExpansion divisor'),
  ffMult: real(0, 2 ** 10),
  ...all(share, 'density leak rotaryShare haltEps eps normEps'),
  ...all(
    size,
    'initStd outputStd valueStd maxLr gateCap scoreCap spectralRadius stepMin stepMax maxGradNorm temperature',
  ),
  ...all(number, 'firstShare ownShare pull scale gateBias gateInit gateGradient haltBias inputGateBias inputScale'),
  ...all(number, 'minLogDecay gateTemperature bias'),
  ropeBase: real(1, 1e12),
  // of tasks
  ...all(count(1, 2 ** 24), 'length vocab symbols'),
  ...all(anyVectors, 'pairs passes data triggers copied facts noise shortest growth keySize valueSize parts'),
  ...all(share, 'lead'),
  ...all(size, 'power'),
}

function all(limit: Limit, names: string): Record<string, Limit> {
  return Object.fromEntries(names.split(' ').map((name) => [name, limit]))
}

/** Whether `checkLimits` knows a key. */
export function hasLimit(key: string): boolean {
  return Object.hasOwn(limits, key)
}

/**
 * A configuration from elsewhere, a file or an address, laid over complete defaults.
 *
 * @throws what `withDefaults` and `checkLimits` throw
 */
export function withinLimits<C extends object>(where: string, defaults: C, given: object | undefined): C {
  const config = withDefaults(where, defaults, given)
  checkLimits(where, config)
  return config
}

/**
 * Holds the numbers of a configuration of a model or task from elsewhere, a file or an address, to what their names can mean; those in
 * lists and in nested objects too. A name that none has used is not looked at.
 *
 * @throws RangeError that names the key
 */
export function checkLimits(where: string, config: object): void {
  for (const [key, value] of Object.entries(config)) check(`${where}.${key}`, key, value)
}

function check(where: string, key: string, value: unknown): void {
  if (typeof value === 'number') {
    const limit = hasLimit(key) ? limits[key] : undefined
    if (limit && !fits(value, limit)) {
      const kind = limit.whole ? 'a whole number' : 'a number'
      throw new RangeError(`${where}: expected ${kind} from ${limit.least} to ${limit.most}, got ${value}.`)
    }
  } else if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) check(`${where}.${i}`, key, item)
  } else if (typeof value === 'object' && value !== null) checkLimits(where, value)
}

function fits(value: number, { least, most, whole }: Limit): boolean {
  return value >= least && value <= most && (!whole || Number.isInteger(value))
}
