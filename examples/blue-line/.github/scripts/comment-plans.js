// Keeps one comment for each environment on a pull request, which says what Terraform would change: a later
// run edits it.
// Usage: comment-plans.js PLANS
// PLANS holds the artifact of each environment that ENVIRONMENTS lists, plan-ENV. PULL_REQUEST is the number.
import { command } from '../../checks/lib/repository.js';
import { api } from './lib/github.js';
import { isNotYet, markdownOf, readPlan } from './lib/plans.js';

// GitHub takes 65,536 characters in a comment.
const MOST = 60_000;
const PAGE = 100;
const BOT = 'github-actions[bot]';

const markOf = (environment) => `<!-- plan of ${environment} -->`;

/** Our comments by environment: others may write what they like. */
function findComments(comments) {
  const found = new Map();
  for (let page = 1; ; page += 1) {
    const list = api('GET', `${comments}?per_page=${PAGE}&page=${page}`);
    for (const { id, user, body } of list) {
      const environment = /^<!-- plan of (\S+) -->/.exec(body)?.[1];
      if (environment && user?.login === BOT) found.set(environment, { id, body });
    }
    if (list.length < PAGE) return found;
  }
}

/** Writes a comment, and returns what had to be done. */
function say(at, comments, there, body) {
  if (there?.body === body) return 'says this already';
  if (there) api('PATCH', `${at}/issues/comments/${there.id}`, { body });
  else api('POST', comments, { body });
  return there ? 'edited' : 'written';
}

function main() {
  const [folder] = process.argv.slice(2);
  const {
    ENVIRONMENTS,
    PULL_REQUEST,
    COMMIT,
    GITHUB_REPOSITORY,
    GITHUB_SERVER_URL,
    GITHUB_RUN_ID,
  } = process.env;
  if (!folder || !ENVIRONMENTS || !/^\d+$/.test(PULL_REQUEST)) {
    throw new Error('usage: ENVIRONMENTS=... PULL_REQUEST=... comment-plans.js PLANS');
  }
  const at = `repos/${GITHUB_REPOSITORY}`;
  const comments = `${at}/issues/${PULL_REQUEST}/comments`;
  const run = `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}/actions/runs/${GITHUB_RUN_ID}`;
  const foot = `Of ${COMMIT}, by [this run](${run}).`;
  const there = findComments(comments);
  const environments = JSON.parse(ENVIRONMENTS);
  for (const environment of environments) {
    const plan = readPlan(folder, environment);
    // What is not set up yet gets no comment on every pull request.
    if (isNotYet(plan) && !there.has(environment)) continue;
    const body = [markOf(environment), markdownOf(plan, MOST), foot].join('\n\n');
    console.log(`${environment}: ${say(at, comments, there.get(environment), body)}`);
  }
  for (const [environment, comment] of there) {
    if (environments.includes(environment)) continue;
    const body = `${markOf(environment)}\n\n### Terraform in ${environment}\n\nNothing here concerns it any more.`;
    console.log(`${environment}: ${say(at, comments, comment, body)}`);
  }
}

command(main);
