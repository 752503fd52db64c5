export * from './describe-memory.js'
export * from './describe-mixer.js'
export * from './describe-op.js'
export * from './tolerance.js'
