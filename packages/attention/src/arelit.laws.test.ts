import { normalInit, Rng } from '@mneme/core-tensor'
import { describeMixer } from '@mneme/testing'
import { AReLiT, type ArelitOptions } from './arelit.js'
import { ReLiT } from './relit.js'

const D = 6
const options: ArelitOptions = {
  dModel: D,
  nHeads: 2,
  dHead: 3,
  expansion: 2,
  components: 3,
  spectrum: 'full',
  projection: { init: normalInit(0.8) },
}

describeMixer('AReLiT', (seed) => new AReLiT(options, new Rng(seed)), D)
describeMixer(
  'AReLiT, half a spectrum',
  (seed) => new AReLiT({ ...options, spectrum: 'half', components: 2 }, new Rng(seed)),
  D,
)
describeMixer('AReLiT, one component', (seed) => new AReLiT({ ...options, components: 1 }, new Rng(seed)), D)
describeMixer('ReLiT', (seed) => new ReLiT(options, new Rng(seed)), D)
