import { describePaper } from '@mneme/testing'
import { loadPaper, paperKeys } from './registry.js'

for (const key of paperKeys) describePaper(await loadPaper(key))
