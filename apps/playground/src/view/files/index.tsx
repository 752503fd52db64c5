import '../../style/files.css'
import '../../style/inside.css'
import '../../style/picture.css'
import { LoadPanel } from './load-panel'
import { SavePanel } from './save-panel'

/** Checkpoints in and out: nothing leaves the machine. */
export default function Files() {
  return (
    <div class="files">
      <LoadPanel />
      <SavePanel />
    </div>
  )
}
