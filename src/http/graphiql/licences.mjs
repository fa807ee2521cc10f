// The notices that the licences of the bundled packages ask for, as one text.
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';

export async function licences(root, metafiles) {
  const folders = new Set();
  for (const { inputs } of metafiles) {
    for (const input of Object.keys(inputs)) {
      const folder = /^.*\/?node_modules\/(@[^/]+\/)?[^/]+/.exec(input)?.[0];
      if (folder) folders.add(folder);
    }
  }
  const packagesByNotice = new Map();
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(await readFile(path.join(root, folder, 'package.json'), 'utf8'));
    const notice = await noticeOf(path.join(root, folder)) ?? `Licence, as its package says: ${license}`;
    packagesByNotice.set(notice, [...packagesByNotice.get(notice) ?? [], `${name} ${version}`]);
  }
  const sections = [...packagesByNotice].map(([notice, packages]) => `${packages.join('\n')}\n\n${notice}\n`);
  return `GraphiQL's page contains these packages.\n\n${sections.join(`\n${'-'.repeat(80)}\n\n`)}`;
}

// The licence in `folder` and what it says of third parties.
async function noticeOf(folder) {
  const names = (await readdir(folder)).filter((file) => /^(licen[cs]e|thirdpartynotices)(\.|$)/i.test(file)).sort();
  const texts = await Promise.all(names.map((name) => readFile(path.join(folder, name), 'utf8')));
  const [licence, ...others] = texts.map((text) => text.replaceAll('\r\n', '\n').trim());
  // Prettier appends the notices of 60 packages for languages that are not in the bundle.
  return licence && [licence.split(/\n#+ Licenses of bundled dependencies/)[0].trim(), ...others].join('\n\n');
}
