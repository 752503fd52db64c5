import { render } from 'preact'
import 'uplot/dist/uPlot.min.css'
import { keepForOffline } from './offline'
import { keepTurns, keepWhenHidden, openAddress } from './page'
import './style/base.css'
import './style/page.css'
import './style/form.css'
import './style/values.css'
import './style/parts.css'
import './style/compare.css'
import { keepSweeping } from './sweep'
import { App } from './view/app'

// the worker starts before the first paint, so that it loads while the page is drawn
openAddress()
addEventListener('popstate', openAddress)
addEventListener('hashchange', openAddress)
keepTurns()
keepSweeping()
keepWhenHidden()
keepForOffline()

const root = document.getElementById('app')
if (root !== null) render(<App />, root)
