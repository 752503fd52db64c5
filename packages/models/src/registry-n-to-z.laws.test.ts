import { describePaper } from '@mneme/testing'
import { loadPaper, paperKeys } from './registry.js'

for (const key of paperKeys) if (key >= 'n') describePaper(await loadPaper(key))
