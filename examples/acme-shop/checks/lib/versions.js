/** Compares two versions of three numbers, as `sort` wants it: below zero when the first is the older one. */
export function compareVersions(one, other) {
  const [a, b] = [one, other].map((version) => version.replace(/^v/, '').split('.'));
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}
