// The code of docs/clients.md, so that it is run as it stands.

import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

const GUIDE = new URL('../../docs/clients.md', import.meta.url);

// The blocks of code of a section, by the files that their first lines name.
export async function blocksOf(heading) {
  const guide = await readFile(GUIDE, 'utf8');
  const section = new RegExp(`^#{1,3} ${heading}\n(.*?)(?=^#{2,3} )`, 'ms').exec(`${guide}\n## `)?.[1] ?? '';
  const blocks = [...section.matchAll(/^```[jt]s\n(\/\/ (\S+\.c?[jt]s)\n.*?)^```$/gms)];
  assert.equal(section.match(/^```[jt]s$/gm)?.length, blocks.length, `each block of "${heading}" names its file`);
  return new Map(blocks.map(([, text, name]) => [name, text]));
}

// Writes files, given by their names, and the folders that they need.
export async function writeFiles(folder, files) {
  for (const [name, text] of files) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}
