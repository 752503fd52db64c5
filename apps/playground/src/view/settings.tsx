import type { Experiment } from '@mneme/training'
import { automaticSettings } from '../experiment/automatic'
import { catalogue, findPaper, findTask, type Settings as Values } from '../experiment/catalogue'
import { type Automatic, Field } from './field'

interface Props {
  readonly draft: Experiment
  readonly onChange: (draft: Experiment) => void
}

/** Every setting of the model, the task and the training, from their own defaults. */
export function Settings({ draft, onChange }: Props) {
  return (
    <details class="settings">
      <summary>All settings</summary>
      <div class="groups">
        <Group
          title="Model"
          standard={findPaper(draft.paper)?.config ?? {}}
          values={draft.config}
          onChange={(config) => onChange({ ...draft, config })}
        />
        <Group
          title="Task"
          standard={findTask(draft.task)?.config ?? {}}
          values={draft.taskConfig}
          onChange={(taskConfig) => onChange({ ...draft, taskConfig })}
        />
        <Group
          title="Training"
          standard={{ ...catalogue.train }}
          values={{ ...draft.train }}
          automatic={automaticSettings(draft)}
          onChange={(train) => onChange({ ...draft, train })}
        />
      </div>
    </details>
  )
}

interface GroupProps {
  readonly title: string
  readonly standard: Values
  readonly values: Values
  readonly automatic?: Readonly<Record<string, Automatic>>
  readonly onChange: (values: Values) => void
}

function Group({ title, standard, values, automatic, onChange }: GroupProps) {
  return (
    <fieldset>
      <legend>{title}</legend>
      <div class="fields">
        {Object.entries(standard).map(([key, byDefault]) => (
          <Field
            key={key}
            label={key}
            standard={byDefault}
            automatic={automatic?.[key]}
            value={Object.hasOwn(values, key) ? values[key] : byDefault}
            onChange={(value) => onChange(changed(values, key, value, byDefault))}
          />
        ))}
      </div>
    </fieldset>
  )
}

/** Only what differs from the defaults is kept, so that addresses stay short. */
function changed(values: Values, key: string, value: unknown, byDefault: unknown): Values {
  const { [key]: _, ...others } = values
  return JSON.stringify(value) === JSON.stringify(byDefault) ? others : { ...others, [key]: value }
}
