import type { Command } from 'commander'

/** All command paths with their subcommands and long options, e.g. `quarantine restore` -> [--overwrite]. */
function collect(command: Command, path: string[] = []): { path: string; words: string[] }[] {
  const words = [
    ...command.commands.map((sub) => sub.name()),
    ...command.options.flatMap((option) => (option.long ? [option.long] : [])),
  ]
  return [
    { path: path.join(' '), words },
    ...command.commands.flatMap((sub) => collect(sub, [...path, sub.name()])),
  ]
}

/** A completion script for bash; zsh runs it through its bashcompinit. */
export function completionScript(program: Command, shell: 'bash' | 'zsh'): string {
  const cases = collect(program)
    .map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`)
    .join('\n')
  return `${shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_ringwall() {
  local path='' word words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _ringwall ringwall ./ringwall
`
}
