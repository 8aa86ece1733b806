/** What `uname -m` says where the package of this center runs: it holds the center's own kind of Node. */
export const packageMachine = process.arch === 'arm64' ? 'aarch64' : 'x86_64'

/** A text as one word of a shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/**
 * Installs the agent from an archive that lies there, as root. systemd is asked for first: a machine that cannot run the agent must not use up the token. The last line
 * of its output is what enrolment says.
 */
export function installScript(archive: string, enrolArguments: string): string {
  return [
    'set -eu',
    `command -v systemctl >/dev/null || { echo 'systemd is needed' >&2; exit 3; }`,
    `tar -C /opt --no-same-owner -xzf ${archive}`,
    `/opt/ringwall-agent/ringwall agent enroll ${enrolArguments}`,
    'cp /opt/ringwall-agent/ringwall-agent.service /etc/systemd/system/',
    'systemctl daemon-reload',
    'systemctl enable --now ringwall-agent >&2',
  ].join('\n')
}

/**
 * The same as one line to paste. The download is compared with its hash, which came with the line: whose certificate the server has does not
 * matter then.
 */
export function installCommand(options: { url: string; sha256: string; enrolArguments: string }): string {
  const { url, sha256, enrolArguments } = options
  const script = [
    'set -eu',
    'd=$(mktemp -d)',
    `trap 'rm -rf "$d"' EXIT`,
    `if command -v curl >/dev/null; then curl -fsSk -o "$d/a.tgz" ${url}; else wget -q --no-check-certificate -O "$d/a.tgz" ${url}; fi`,
    `echo "${sha256}  $d/a.tgz" | sha256sum -c --quiet`,
    ...installScript('"$d/a.tgz"', enrolArguments).split('\n').slice(1),
  ].join('; ')
  return `sudo sh -c ${shellQuote(script)}`
}
