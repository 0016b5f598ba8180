import 'reflect-metadata';

const NODE_MAJOR_MIN = 24;

// A bare `node dist/...` gets whatever Node the machine has; the npm scripts use the pinned one.
if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN) {
  console.error(`Node ${process.versions.node} is too old. Use "npm start", which brings its own.`);
  process.exit(1);
}

const { run } = await import('./run.js');
await run();
