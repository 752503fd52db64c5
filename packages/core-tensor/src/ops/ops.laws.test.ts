import { describeOp } from '@mneme/testing/describe-op'
import { allOps } from './all.js'

for (const op of allOps) describeOp(op)
