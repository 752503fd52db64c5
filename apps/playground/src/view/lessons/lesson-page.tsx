import equations from 'virtual:lesson-equations'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { type Slider, sliderName } from '../../experiment/sliders'
import { addressOf, addressOfExperiments, options, setOptionsOf } from '../../page'
import { HeatMap } from '../../picture/heat-map'
import { LineChart } from '../../picture/line-chart'
import { Station } from '../../station'
import { MathLines } from '../math-lines'
import type { Figure, Lesson, LessonAnswer, SliderValues } from './lesson'
import { lessons } from './lessons'

/** Words, one equation, sliders, and pictures that follow them. */
export function LessonPage({ lesson }: { readonly lesson: Lesson }) {
  const { title, before, after, sliders, experiment } = lesson
  const stands = options.value.lesson
  const values = Object.fromEntries(sliders.map((slider) => [slider.key, stands[sliderName(lesson.key, slider)] ?? 0]))
  const { answer, problem } = useLesson(lesson, values)
  const at = lessons.indexOf(lesson)
  const next = lessons[at + 1]
  return (
    <article class="lesson" aria-labelledby="lesson-title">
      <p>
        <a href={addressOf({ key: 'lessons', detail: '' })}>All lessons</a>
      </p>
      <h2 id="lesson-title">{title}</h2>
      <div class="words">
        {before.map((paragraph) => (
          <p key={paragraph}>{paragraph}</p>
        ))}
      </div>
      <MathLines lines={equations[lesson.key] ?? []} />
      <fieldset class="sliders">
        <legend class="hidden">Settings</legend>
        {sliders.map((slider) => (
          <SliderField
            key={slider.key}
            slider={slider}
            value={values[slider.key] ?? slider.value}
            onChange={(value) => setOptionsOf('lesson', { [sliderName(lesson.key, slider)]: value })}
          />
        ))}
      </fieldset>
      <p class="summary" role="status">
        {answer?.summary ?? 'Computing.'}
      </p>
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class="lesson-figures">
        {answer?.figures.map((figure) => (
          <div key={figure.title}>
            <h3>{figure.title}</h3>
            <FigureView figure={figure} />
          </div>
        ))}
      </div>
      <div class="words">
        {after.map((paragraph) => (
          <p key={paragraph}>{paragraph}</p>
        ))}
      </div>
      <p class="links">
        <a class="button" href={addressOfExperiments(experiment.runs)}>
          {experiment.title}
        </a>
        {next !== undefined && <a href={addressOf({ key: 'lessons', detail: next.key })}>Next: {next.title}</a>}
      </p>
    </article>
  )
}

/** Asks anew when a slider moves; while one answer is under way, only the newest question waits. */
function useLesson(
  { key }: Lesson,
  values: SliderValues,
): { readonly answer: LessonAnswer | null; readonly problem: string | null } {
  const [answer, setAnswer] = useState<LessonAnswer | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const desk = useRef<{ station: Station; busy: boolean; waiting: SliderValues | null } | null>(null)
  useEffect(() => {
    desk.current = { station: new Station(), busy: false, waiting: null }
    return () => desk.current?.station.close()
  }, [])
  useEffect(() => {
    const { current } = desk
    if (current === null) return
    current.waiting = values
    if (current.busy) return
    const work = async (): Promise<void> => {
      current.busy = true
      while (current.waiting !== null) {
        const asked = current.waiting
        current.waiting = null
        try {
          setAnswer(await current.station.ask('lesson', { lesson: key, values: asked }))
          setProblem(null)
        } catch (error) {
          setProblem((error as Error).message)
        }
      }
      current.busy = false
    }
    void work()
  }, [key, JSON.stringify(values)])
  return { answer, problem }
}

interface SliderProps {
  readonly slider: Slider
  readonly value: number
  readonly onChange: (value: number) => void
}

function SliderField({ slider: { label, min, max, step }, value, onChange }: SliderProps) {
  const id = useId()
  return (
    <div class="field slider">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
      <output for={id}>{Number(value.toFixed(3))}</output>
    </div>
  )
}

function FigureView({ figure }: { readonly figure: Figure }) {
  if (figure.form === 'map') {
    const name = (i: number): string => String(i + 1)
    return (
      <HeatMap
        title={figure.title}
        matrix={{ rows: figure.rows, columns: figure.columns, values: figure.values, rowName: name, columnName: name }}
        axes={figure.axes}
      />
    )
  }
  const { form, names, ...chart } = figure
  return <LineChart {...chart} nameAt={(i) => names?.[i] ?? String(i + 1)} />
}
