// Ways to stay.
rule persistence_authorized_keys
{
  meta:
    title = "Script that adds an SSH key and runs what it fetches"
    category = "persistence"
    severity = "malicious"
  strings:
    $key = /echo\s+["']?(ssh-(rsa|ed25519)|ecdsa-sha2)\s+AAAA[^\n]{40,900}>>\s*\S{0,60}\/?\.ssh\/authorized_keys/
    $fetch = /\b(curl|wget)\s[^\n]{4,200}\|\s*(ba)?sh\b/
  condition:
    filesize < 256KB and $key and $fetch
}

rule persistence_systemd_fetch
{
  meta:
    title = "systemd unit that fetches and runs a script"
    category = "persistence"
    severity = "malicious"
  strings:
    $section = "[Service]"
    $start = /ExecStart=[^\n]{0,40}(ba)?sh\s+-c\s+[^\n]{0,40}(curl|wget)\s[^\n|]{4,200}\|\s*(ba)?sh/
  condition:
    filesize < 64KB and $section and $start
}

rule persistence_rc_local_fetch
{
  meta:
    title = "Start-up script that fetches and runs a script"
    category = "persistence"
    severity = "malicious"
  strings:
    $target = /(>>|>|tee\s+-a)\s*\/etc\/(rc\.local|rc\.d\/rc\.local|profile\.d\/\S{1,40}|init\.d\/\S{1,40})/
    $line = /echo\s+["'][^"'\n]{0,80}(curl|wget)\s[^"'\n|]{4,160}\|\s*(ba)?sh[^"'\n]{0,40}["']/
  condition:
    filesize < 256KB and $target and $line
}

rule persistence_ld_preload_write
{
  meta:
    title = "Script that puts a library into every program"
    category = "rootkit"
    severity = "malicious"
  strings:
    $write = /(echo|printf)\s+["']?\/\S{1,80}\.so\S{0,10}["']?\s*(>>|>)\s*\/etc\/ld\.so\.preload/
  condition:
    filesize < 256KB and $write
}

rule persistence_cron_from_memory
{
  meta:
    title = "Script that replaces the cron table with a fetching job"
    category = "persistence"
    severity = "malicious"
  strings:
    $call = /echo\s+["'][^"'\n]{5,40}(curl|wget)\s[^"'\n]{4,200}\|\s*(ba)?sh[^"'\n]{0,40}["']\s*\|\s*crontab\s+-/
  condition:
    filesize < 256KB and $call
}
