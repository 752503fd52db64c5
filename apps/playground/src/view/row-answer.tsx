import type { RowSample } from '../protocol'

/** A row of the task: the tokens that went in, and where something was asked, what was due and what came. */
export function RowAnswer({ sample }: { readonly sample: RowSample }) {
  return (
    <>
      <p class="score">
        {sample.right} of {sample.asked} right
      </p>
      <ol class="cells" aria-label="Input tokens, with the answers where one is asked">
        {sample.cells.map(({ input, target, predicted }, i) => (
          <li key={i} class={target === undefined ? 'idle' : target === predicted ? 'right' : 'wrong'}>
            <span class="input">{input}</span>
            {target !== undefined && (
              <span class="output">
                {predicted}
                {target === predicted ? (
                  <span class="mark" role="img" aria-label="right">
                    ✓
                  </span>
                ) : (
                  <span class="mark" role="img" aria-label={`wrong, ${target} was due`}>
                    ✗ {target}
                  </span>
                )}
              </span>
            )}
          </li>
        ))}
      </ol>
    </>
  )
}
