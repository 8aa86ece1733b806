// Shapes of server-side scripts that run what a request brings.
rule webshell_php_eval_request
{
  meta:
    title = "PHP web shell: evaluates a request"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<?php" nocase
    $short = "<?="
    $eval = /\b(eval|assert)\s*\(\s*(stripslashes\s*\(\s*|base64_decode\s*\(\s*|gzinflate\s*\(\s*|@\s*)*\$_(POST|GET|REQUEST|COOKIE|SERVER)\s*\[/ nocase
  condition:
    filesize < 1MB and ($open or $short) and $eval
}

rule webshell_php_command_request
{
  meta:
    title = "PHP web shell: runs a request as a command"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<?" nocase
    $call = /\b(system|passthru|shell_exec|exec|popen|proc_open|pcntl_exec)\s*\(\s*@?\s*(base64_decode\s*\(\s*)?\$_(POST|GET|REQUEST|COOKIE)\s*\[/ nocase
  condition:
    filesize < 1MB and $open and $call
}

rule webshell_php_backtick_request
{
  meta:
    title = "PHP web shell: a request between backticks"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<?" nocase
    $call = /`\s*(\{)?\$_(POST|GET|REQUEST|COOKIE)\s*\[[^\]]{1,40}\]\s*(\})?\s*`/
  condition:
    filesize < 1MB and $open and $call
}

rule webshell_php_variable_function
{
  meta:
    title = "PHP web shell: the request names the function"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<?" nocase
    $call = /\$_(POST|GET|REQUEST|COOKIE)\s*\[[^\]]{1,40}\]\s*\(\s*@?\$_(POST|GET|REQUEST|COOKIE)\s*\[/
  condition:
    filesize < 1MB and $open and $call
}

rule webshell_php_packed_eval
{
  meta:
    title = "PHP script that unpacks and evaluates itself"
    category = "webshell"
    severity = "suspicious"
  strings:
    $open = "<?" nocase
    $call = /\beval\s*\(\s*(gzinflate|gzuncompress|str_rot13|gzdecode)\s*\(\s*(base64_decode|str_rot13|strrev)\s*\(\s*['"][A-Za-z0-9+\/=]{64}/ nocase
  condition:
    filesize < 4MB and $open and $call
}

rule webshell_php_preg_replace_e
{
  meta:
    title = "PHP web shell: preg_replace with the e modifier on a request"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<?" nocase
    $call = /preg_replace\s*\(\s*['"]\/[^'"]{1,80}\/[a-z]*e[a-z]*['"]\s*,\s*@?\s*\$_(POST|GET|REQUEST|COOKIE)/ nocase
  condition:
    filesize < 1MB and $open and $call
}

rule webshell_php_chr_chain
{
  meta:
    title = "PHP script that spells a function name in character codes and calls it"
    category = "webshell"
    severity = "suspicious"
  strings:
    $open = "<?" nocase
    $spell = /=\s*(chr\s*\(\s*\d{2,3}\s*\)\s*\.\s*){4,}chr\s*\(\s*\d{2,3}\s*\)\s*;/ nocase
    $request = /\$_(POST|GET|REQUEST|COOKIE)\s*\[/
  condition:
    filesize < 1MB and $open and $spell and $request
}

rule webshell_php_upload
{
  meta:
    title = "PHP script that stores any upload where the request says"
    category = "webshell"
    severity = "suspicious"
  strings:
    $open = "<?" nocase
    $move = /(move_uploaded_file|copy)\s*\(\s*\$_FILES\s*\[[^\]]{1,40}\]\s*\[\s*['"]tmp_name['"]\s*\]\s*,\s*\$_(POST|GET|REQUEST|FILES)\s*\[/ nocase
  condition:
    filesize < 64KB and $open and $move
}

rule webshell_jsp_runtime_request
{
  meta:
    title = "JSP web shell: runs a request as a command"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<%"
    $call = /getRuntime\s*\(\s*\)\s*\.\s*exec\s*\(\s*(new\s+String\s*\[\s*\]\s*\{[^}]{0,80})?request\s*\.\s*getParameter\s*\(/
  condition:
    filesize < 1MB and $open and $call
}

rule webshell_jsp_runtime_variable
{
  meta:
    title = "JSP web shell: a parameter reaches a process"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<%"
    $parameter = /request\s*\.\s*getParameter\s*\(\s*"(cmd|command|exec|c|pwd|pass|shell)"\s*\)/
    $process = /(getRuntime\s*\(\s*\)\s*\.\s*exec|new\s+ProcessBuilder)\s*\(/
  condition:
    filesize < 1MB and $open and $parameter and $process
}

rule webshell_jsp_class_loader
{
  meta:
    title = "JSP web shell: loads a class from the request"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<%"
    $loader = /extends\s+ClassLoader/
    $define = "defineClass("
    $request = /request\s*\.\s*(getReader|getParameter|getInputStream)\s*\(/
  condition:
    filesize < 1MB and $open and $loader and $define and $request
}

rule webshell_aspx_eval_request
{
  meta:
    title = "ASP.NET web shell: evaluates a request"
    category = "webshell"
    severity = "malicious"
  strings:
    $language = /<%@\s*Page\s+Language\s*=\s*"?(Jscript|C#|VB)/ nocase
    $eval = /\beval\s*\(\s*(System\.Text\.Encoding[^;]{0,120})?Request\s*(\.\s*(Item|Form|QueryString)\s*)?\[/ nocase
  condition:
    filesize < 1MB and $language and $eval
}

rule webshell_aspx_process_request
{
  meta:
    title = "ASP.NET web shell: starts a process from a request"
    category = "webshell"
    severity = "malicious"
  strings:
    $language = /<%@\s*Page\s+Language\s*=/ nocase
    $process = /(ProcessStartInfo|Process\s*\.\s*Start\s*\()/
    $shell = /cmd(\.exe)?"/ nocase
    $request = /Request\s*(\.\s*(Form|QueryString|Params))?\s*\[/ nocase
  condition:
    filesize < 1MB and $language and $process and $shell and $request
}

rule webshell_asp_execute_request
{
  meta:
    title = "ASP web shell: executes a request"
    category = "webshell"
    severity = "malicious"
  strings:
    $open = "<%"
    $call = /\b(execute|executeglobal|eval)\s*\(?\s*request\s*(\.\s*(form|querystring))?\s*\(\s*"/ nocase
  condition:
    filesize < 1MB and $open and $call
}
