// Signatures and signed SBOMs, by cosign. In the release workflow there is no key: the signature
// carries the workflow's identity, which must be the one that the clusters' policy names. A key is
// for a rehearsal without Sigstore (docs/delivery.md): KEY stands for the files KEY.key and KEY.pub.
import { spawnSync } from 'node:child_process';
import { read } from '../../../checks/lib/repository.js';

const POLICY = 'deploy/platform-config/base/image-signatures.yaml';
// The form that Kyverno reads, and that registries without a referrers API keep.
const FORM = '--new-bundle-format=false';

/** Who must have signed, as the clusters' policy says. */
export function signer() {
  const found = /^ *- issuer: (\S+)\n *subject: >-\n *(\S+)$/m.exec(read(POLICY));
  if (!found) throw new Error(`${POLICY} names no issuer and subject`);
  return { issuer: found[1], subject: found[2] };
}

function cosign(args, stdio = ['ignore', 'inherit', 'inherit']) {
  const options = { encoding: 'utf8', stdio, maxBuffer: Number.POSITIVE_INFINITY };
  const { status, error, stdout, stderr } = spawnSync('cosign', args, options);
  if (error) throw new Error(`cosign could not be started: ${error.message}`);
  return { ok: status === 0, stdout, stderr };
}

const signing = (key) =>
  key
    ? [`--key=${key}.key`, '--tlog-upload=false', '--use-signing-config=false', '--yes', FORM]
    : ['--use-signing-config=false', '--yes', FORM];

function verifying(key) {
  if (key) return [`--key=${key}.pub`, '--insecure-ignore-tlog', FORM];
  const { issuer, subject } = signer();
  return [`--certificate-oidc-issuer=${issuer}`, `--certificate-identity=${subject}`, FORM];
}

const ask = (args) => cosign(args, ['ignore', 'pipe', 'pipe']);

/** Whether an image bears the signature of the release workflow; else cosign's reason is thrown. */
export function verifySignature(image, key) {
  const { ok, stderr } = ask(['verify', ...verifying(key), image]);
  if (!ok) throw new Error(`${image} has no valid signature:\n${stderr}`);
}

/**
 * The SBOM that the release workflow has signed for the image of one platform.
 * @throws {Error} with cosign's reason when there is none.
 */
export function signedSbom(image, key) {
  const args = ['verify-attestation', '--type=cyclonedx', ...verifying(key), image];
  const { ok, stdout, stderr } = ask(args);
  if (!ok) throw new Error(`${image} has no valid signed SBOM:\n${stderr}`);
  const { payload } = JSON.parse(stdout.split('\n')[0]);
  return JSON.parse(Buffer.from(payload, 'base64')).predicate;
}

const holds = (check, ...args) => {
  try {
    check(...args);
    return true;
  } catch {
    return false;
  }
};

/** Signs an image, unless it is signed already, and checks the signature. */
export function sign(image, key) {
  if (holds(verifySignature, image, key)) return 'was signed before';
  if (!cosign(['sign', ...signing(key), image]).ok) throw new Error(`${image} could not be signed`);
  verifySignature(image, key);
  return 'signed';
}

/** Signs an SBOM for the image of one platform, unless there is one, and checks the signature. */
export function attest(image, sbom, key) {
  if (holds(signedSbom, image, key)) return 'was signed before';
  const args = ['attest', '--type=cyclonedx', `--predicate=${sbom}`, ...signing(key), image];
  if (!cosign(args).ok) throw new Error(`the SBOM of ${image} could not be signed`);
  signedSbom(image, key);
  return 'signed';
}
