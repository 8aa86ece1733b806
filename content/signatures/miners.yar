// Programs and settings that mine on somebody else's machine.
rule miner_stratum_config
{
  meta:
    title = "Settings of a cryptocurrency miner"
    category = "miner"
    severity = "malicious"
  strings:
    $pools = /"pools"\s*:\s*\[/
    $algo = /"(algo|coin)"\s*:\s*("(rx|cn|cn-heavy|cn-lite|argon2|kawpow|ghostrider|astrobwt)[^"]{0,20}"|"(monero|XMR)")/ nocase
    $user = /"user"\s*:\s*"[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}/
    $donate = "\"donate-level\""
  condition:
    filesize < 256KB and $pools and ($user or ($algo and $donate))
}

rule miner_command_line
{
  meta:
    title = "Script that starts a miner"
    category = "miner"
    severity = "malicious"
  strings:
    $call = /(-o|--url)[ =]["']?stratum\+(tcp|ssl|tls):\/\/[\w.-]{4,80}:\d{2,5}["']?\s[^\n]{0,120}(-u|--user)[ =]/
  condition:
    filesize < 256KB and $call
}

rule miner_xmrig_binary
{
  meta:
    title = "XMRig miner"
    category = "miner"
    severity = "malicious"
  strings:
    $a = "xmrig"
    $b = "donate.v2.xmrig.com"
    $c = "stratum+ssl://"
    $d = "cryptonight"
  condition:
    uint32(0) == 0x464c457f and $b and 2 of ($a, $c, $d)
}

rule miner_rival_killer
{
  meta:
    title = "Script that kills rival miners"
    category = "miner"
    severity = "malicious"
  strings:
    $kill = /(pkill\s+-9?\s*-?f?|killall(\s+-9)?)\s+["']?(xmrig|minerd|kinsing|kdevtmpfsi|cryptonight|xmr-stak|ddgs|watchbog)\b/
  condition:
    filesize < 1MB and #kill >= 2
}

rule miner_huge_pages_setup
{
  meta:
    title = "Script that tunes a machine for mining"
    category = "miner"
    severity = "suspicious"
  strings:
    $msr = /wrmsr\s+-a\s+0x1a4\s+0xf/
    $pages = /vm\.nr_hugepages\s*=\s*\$?\(?\(?/
    $pool = /stratum\+(tcp|ssl)|--randomx|\bxmrig\b/
  condition:
    filesize < 256KB and ($msr or $pages) and $pool
}
