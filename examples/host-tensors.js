// A training loop of one's own, with its state in typed arrays: run it, stop it with Ctrl+C, run it again.
//   node examples/host-tensors.js [directory]
import { Checkpoint, CheckpointManager, Counter, HostTensor } from 'tensor-checkpoint';

// y = 3x − 1, found by gradient descent with momentum.
const weights = new Float64Array(2);
const velocity = new Float64Array(2);
const step = new Counter();
const checkpoint = new Checkpoint({
  step,
  weights: new HostTensor({ dtype: 'float64', shape: [2], data: weights }),
  velocity: new HostTensor({ dtype: 'float64', shape: [2], data: velocity }),
});
const manager = new CheckpointManager(checkpoint, { directory: process.argv[2] ?? 'line', maxToKeep: 3 });

const resumed = await manager.restoreOrInitialize();
console.log(resumed === null ? 'starting' : `resuming from ${resumed} at step ${step.value}`);

while (step.value < 2000) {
  const gradient = [0, 0];
  for (const x of [-1, 0, 1, 2]) {
    const error = weights[0] * x + weights[1] - (3 * x - 1);
    gradient[0] += (error * x) / 2;
    gradient[1] += error / 2;
  }
  for (const i of [0, 1]) {
    velocity[i] = 0.9 * velocity[i] - 0.01 * gradient[i];
    weights[i] += velocity[i];
  }
  step.increment();
  if (step.value % 100 === 0) {
    const path = await manager.save({ checkpointNumber: step });
    console.log(`step ${step.value}: y = ${weights[0].toFixed(4)} x + ${weights[1].toFixed(4)}, saved ${path}`);
  }
}
await manager.close();
