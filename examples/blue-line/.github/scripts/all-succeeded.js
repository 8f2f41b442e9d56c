// Fails unless every job that this one needs has succeeded, so that one required check stands for
// them all. RESULTS holds the context `needs` as JSON; a job that OPTIONAL names may be left out.
const results = Object.entries(JSON.parse(process.env.RESULTS ?? '{}'));
const optional = (process.env.OPTIONAL ?? '').split(' ');
const fine = ([job, { result }]) =>
  result === 'success' || (result === 'skipped' && optional.includes(job));

for (const [job, { result }] of results) console.log(`${job}: ${result}`);
// Without any, nothing was proved.
process.exitCode = results.length > 0 && results.every(fine) ? 0 : 1;
