import { execFileSync } from 'node:child_process';
import path from 'node:path';

/** Some tests run the product as its users do, as a process of its own: it is built once for all of them. */
export default function build(): void {
  const root = path.resolve(import.meta.dirname, '../..');
  execFileSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' });
}
