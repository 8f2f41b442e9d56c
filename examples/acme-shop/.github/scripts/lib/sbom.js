// The difference between two CycloneDX SBOMs.

const versionsOf = ({ components = [] }) => {
  const versions = new Map();
  for (const { group, name, version, type } of components) {
    if (type !== 'library' && type !== 'operating-system') continue;
    const full = group ? `${group}/${name}` : name;
    versions.set(full, [...(versions.get(full) ?? []), version].sort());
  }
  return versions;
};

/** One line for each package that has been added, removed or changed. */
export function difference(before, after) {
  const [old, now] = [versionsOf(before), versionsOf(after)];
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((name) => {
    const [from, to] = [old, now].map((versions) => versions.get(name)?.join(', '));
    if (from === to) return [];
    if (!from) return `added ${name} ${to}`;
    return to ? `${name} ${from} → ${to}` : `removed ${name} ${from}`;
  });
}
