import '../../style/lessons.css'
import '../../style/picture.css'
import { addressOf } from '../../page'
import { LessonPage } from './lesson-page'
import { findLesson, lessons } from './lessons'

/** Short guided lessons: `view=lessons/why-decay`. */
export default function Lessons({ detail }: { readonly detail: string }) {
  const lesson = findLesson(detail)
  if (lesson !== undefined) return <LessonPage key={lesson.key} lesson={lesson} />
  return (
    <section class="lessons" aria-labelledby="lessons-title">
      <h2 id="lessons-title">Lessons</h2>
      {detail !== '' && (
        <p class="problem" role="alert">
          There is no lesson ‘{detail}’.
        </p>
      )}
      <p class="quiet">Five ideas behind sequence models with memory, each with something to move.</p>
      <ol>
        {lessons.map(({ key, title, before }) => (
          <li key={key}>
            <h3>
              <a href={addressOf({ key: 'lessons', detail: key })}>{title}</a>
            </h3>
            <p>{before[0]}</p>
          </li>
        ))}
      </ol>
    </section>
  )
}
