import { expect, test } from 'vitest'
import { backwardShaders, forwardShaders } from './linear-scan.wgsl.js'
import { wgsl } from './run.js'

test('a module declares sizes, inputs and outputs in that order', () => {
  const source = wgsl({
    name: 'add',
    sizes: ['N'],
    inputs: ['x', 'y'],
    outputs: ['z'],
    body: 'fn run(i: u32) { z[i] = x[i] + y[i]; }',
  })
  expect(source).toMatchInlineSnapshot(`
    "struct Sizes { N: u32, invocations: u32 }
    @group(0) @binding(0) var<uniform> sizes: Sizes;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read> y: array<f32>;
    @group(0) @binding(3) var<storage, read_write> z: array<f32>;
    fn run(i: u32) { z[i] = x[i] + y[i]; }
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
      let index = id.y * groups.x * 64u + id.x;
      if (index < sizes.invocations) { run(index); }
    }
    "
  `)
})

test('no two shaders have one source', () => {
  const shaders = [...Object.values(forwardShaders), ...Object.values(backwardShaders)]
  expect(new Set(shaders.map(wgsl)).size).toBe(shaders.length)
})
