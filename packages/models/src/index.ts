export * from './decoder.js'
export * from './registry.js'
