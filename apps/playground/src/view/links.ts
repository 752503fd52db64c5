import type { Experiment } from '@mneme/training'
import { defaultSetup, writeAddress } from '../experiment/address'

/** The address that opens an experiment for training, whatever runs now. */
export function addressOfExperiment(experiment: Experiment): string {
  return `#${writeAddress({ ...defaultSetup(), experiments: [experiment] })}`
}
