import type { Experiment } from '@mneme/training'
import { shortTitle } from '../../experiment/catalogue'
import { type ClaimPreset, claims } from '../../experiment/claims'
import { type Preset, presets } from '../../experiment/presets'
import { addressOfExperiments } from '../../page'
import '../../style/experiments.css'

/** Experiments that are opened by one click: the app's own, and every claim that is judged. */
export default function Experiments() {
  return (
    <section class="experiment-list" aria-label="Experiments">
      <h2>Experiments</h2>
      <ul class="cards" aria-label="Presets">
        {presets.map((preset) => (
          <PresetCard key={preset.key} preset={preset} />
        ))}
      </ul>
      <h2>Claims</h2>
      <p class="quiet">
        What papers are held to in this repository, with the verdict of <code>mneme claim</code>. Opening one trains its
        lines here, with the first seed.
      </p>
      <ul class="cards in-columns" aria-label="Claims">
        {claims.map((claim) => (
          <ClaimCard key={claim.key} claim={claim} />
        ))}
      </ul>
    </section>
  )
}

function PresetCard({ preset: { title, sentence, source, experiments, options } }: { readonly preset: Preset }) {
  return (
    <li>
      <h3>
        <a href={addressOfExperiments(experiments, options)}>{title}</a>
      </h3>
      <p>{sentence}</p>
      <p class="quiet note">
        {namesOf(experiments)} · after {source.name},{' '}
        <a href={`https://arxiv.org/abs/${source.arxiv}`} rel="noreferrer" target="_blank">
          arXiv:{source.arxiv}
        </a>
      </p>
    </li>
  )
}

/** So many runs fit on the page. */
const atOnce = 4

function ClaimCard({ claim: { title, sentence, verdict, lines } }: { readonly claim: ClaimPreset }) {
  const parts = Array.from({ length: Math.ceil(lines.length / atOnce) }, (_, i) =>
    lines.slice(i * atOnce, (i + 1) * atOnce),
  )
  return (
    <li>
      <h3>{title}</h3>
      <p>{sentence}</p>
      <p class="note">
        {verdict === null ? (
          <span class="quiet">Not judged yet.</span>
        ) : (
          <>
            <strong class={verdict.pass ? 'passes' : 'fails'}>{verdict.pass ? 'Passes' : 'Fails'}</strong>:{' '}
            {verdict.because}
          </>
        )}
      </p>
      <ul class="note">
        {parts.map((part) => (
          <li key={part[0]?.label}>
            <a href={addressOfExperiments(part.map(({ experiment }) => experiment))}>
              {part.map(({ label }) => label).join('; ')}
            </a>
          </li>
        ))}
      </ul>
    </li>
  )
}

function namesOf(experiments: readonly Experiment[]): string {
  const names = experiments.map(({ paper }) => shortTitle(paper))
  return [...new Set(names)].join('; ')
}
