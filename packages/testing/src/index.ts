export * from './describe-mixer.js'
export * from './tolerance.js'
