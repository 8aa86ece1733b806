// One-liners that give a shell of this machine to another one.
rule reverse_shell_bash_dev_tcp
{
  meta:
    title = "Reverse shell: bash over /dev/tcp"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $call = /\b(ba)?sh\s+-i\s*[0-9]?(>|<|>&|&>)\s*&?\s*\/dev\/(tcp|udp)\/(\d{1,3}(\.\d{1,3}){3}|[a-z0-9-]+(\.[a-z0-9-]+)+)\/\d{1,5}\s+0>&1/
  condition:
    filesize < 1MB and $call
}

rule reverse_shell_exec_descriptor
{
  meta:
    title = "Reverse shell: a descriptor opened over /dev/tcp"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $open = /exec\s+\d{1,3}<>\s*\/dev\/tcp\/[\w.$\{\}-]{3,80}\/[\w$\{\}]{1,12}/
    $loop = /(while\s+read[^\n]{0,40}(<&|0<&)\s*\d{1,3}|cat\s+<&\s*\d{1,3}\s*\|\s*while|sh\s+<&\d{1,3}\s+>&\d{1,3})/
  condition:
    filesize < 256KB and $open and $loop
}

rule reverse_shell_mkfifo_netcat
{
  meta:
    title = "Reverse shell: netcat through a FIFO"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $call = /mkfifo\s+(\/tmp\/\w{1,20})\s*(;|&&)\s*(cat|nc|telnet)[^\n]{0,80}\|\s*(\/bin\/)?(ba)?sh\s+-i[^\n]{0,40}\|\s*(nc|ncat|telnet|openssl\s+s_client)\b/
  condition:
    filesize < 256KB and $call
}

rule reverse_shell_netcat_exec
{
  meta:
    title = "Reverse shell: netcat starts a shell"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $call = /\b(nc|ncat|netcat)(\.traditional)?\s+(-\w+\s+)*(\d{1,3}(\.\d{1,3}){3})\s+\d{2,5}\s+(-\w+\s+)*-(e|c)\s+(\/bin\/)?(ba)?sh\b/
    $call2 = /\b(nc|ncat|netcat)(\.traditional)?\s+-\w*e\s+(\/bin\/)?(ba)?sh\s+(\d{1,3}(\.\d{1,3}){3})\s+\d{2,5}/
  condition:
    filesize < 256KB and any of them
}

rule reverse_shell_python
{
  meta:
    title = "Reverse shell: Python"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $socket = /socket\.socket\(|s=socket\./
    $dup = /os\.dup2\(\s*\w{1,12}\.fileno\(\)\s*,\s*[012]\s*\)/
    $shell = /(subprocess\.(call|Popen|run)\(\s*\[\s*["']\/bin\/(ba)?sh["']|pty\.spawn\(\s*["'](\/bin\/)?(ba)?sh["'])/
  condition:
    filesize < 256KB and $socket and #dup >= 2 and $shell
}

rule reverse_shell_perl
{
  meta:
    title = "Reverse shell: Perl"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $socket = /socket\(\s*\w+\s*,\s*PF_INET\s*,\s*SOCK_STREAM/
    $dup = /open\(\s*STD(IN|OUT|ERR)\s*,\s*["']>&\s*\w+["']\s*\)/
    $shell = /exec\s*[\(\{]?\s*["']\/bin\/(ba)?sh\s+-i["']/
  condition:
    filesize < 256KB and $socket and #dup >= 2 and $shell
}

rule reverse_shell_php
{
  meta:
    title = "Reverse shell: PHP"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $call = /\$\w+\s*=\s*fsockopen\(\s*["'][\w.]+["']\s*,\s*\d{1,5}[^;]{0,60}\)\s*;\s*(exec|shell_exec|system|passthru|proc_open)\s*\(\s*["']\/bin\/(ba)?sh\s+-i/
  condition:
    filesize < 256KB and $call
}

rule reverse_shell_ruby
{
  meta:
    title = "Reverse shell: Ruby"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $call = /TCPSocket\.(open|new)\(\s*["'][\w.]+["']\s*,\s*["']?\d{1,5}["']?\s*\)[^\n]{0,40}(\.to_i\s*;|;)?\s*exec\s+sprintf\(\s*["']\/bin\/(ba)?sh\s+-i/
  condition:
    filesize < 256KB and $call
}

rule reverse_shell_socat
{
  meta:
    title = "Reverse shell: socat"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $call = /socat\s+(-\w+\s+)*(exec|system):["']?(\/bin\/)?(ba)?sh[^\s]{0,80}\s+(tcp4?|openssl)(-connect)?:(\d{1,3}\.){3}\d{1,3}:\d{1,5}/ nocase
  condition:
    filesize < 256KB and $call
}

rule reverse_shell_powershell
{
  meta:
    title = "Reverse shell: PowerShell"
    category = "reverse-shell"
    severity = "malicious"
  strings:
    $client = /New-Object\s+(System\.)?Net\.Sockets\.TCPClient\s*\(/ nocase
    $stream = ".GetStream()" nocase
    $run = /\b(iex|Invoke-Expression)\b[^\n]{0,60}Out-String/ nocase
  condition:
    filesize < 256KB and all of them
}
