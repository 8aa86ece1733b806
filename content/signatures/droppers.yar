// Ways by which a machine is made to fetch and start something.
rule dropper_cron_fetch
{
  meta:
    title = "Cron job that fetches and runs a script"
    category = "persistence"
    severity = "malicious"
  strings:
    $job = /(^|\n)\s*((\*|\d{1,2})(\/\d{1,2})?\s+){2}(\*|\d{1,2})(\/\d{1,2})?\s+\*\s+[\*0-7]\s+(root\s+)?(curl|wget)\s[^\n|]{4,200}\|\s*(\/bin\/)?(ba)?sh\b/
  condition:
    filesize < 256KB and $job
}

rule dropper_fetch_to_shell_quiet
{
  meta:
    title = "Script that fetches from an address and runs it, twice to be sure"
    category = "dropper"
    severity = "malicious"
  strings:
    $call = /\(?\s*curl\s+-[fsSLk]{1,6}\s+https?:\/\/\S{4,120}\s*\|\|\s*wget\s+-q[^\n|]{4,160}\)\s*\|\s*(ba)?sh/
  condition:
    filesize < 256KB and $call
}

rule dropper_base64_to_shell
{
  meta:
    title = "Script that decodes a long text and runs it"
    category = "dropper"
    severity = "malicious"
  strings:
    $call = /echo\s+["']?[A-Za-z0-9+\/]{60,}={0,2}["']?\s*\|\s*base64\s+(-d|--decode|-D)\s*\|\s*(\/bin\/)?(ba)?sh\b/
  condition:
    filesize < 1MB and $call
}

rule dropper_tmp_execute
{
  meta:
    title = "Script that fetches a program into a temporary folder and starts it"
    category = "dropper"
    severity = "suspicious"
  strings:
    $call = /(wget|curl)\s[^\n;&|]{4,160}(-O|-o)\s*(\/tmp|\/var\/tmp|\/dev\/shm)\/\S{1,60}\s*(;|&&)\s*chmod\s+(\+x|[0-7]{3,4})\s+(\/tmp|\/var\/tmp|\/dev\/shm)\/\S{1,60}\s*(;|&&)\s*(nohup\s+|\.\/|\/tmp|\/var\/tmp|\/dev\/shm)/
  condition:
    filesize < 256KB and $call
}

rule dropper_iot_loader
{
  meta:
    title = "Loader that tries one program per processor type"
    category = "dropper"
    severity = "malicious"
  strings:
    $cd = /cd\s+\/tmp\s*\|\|\s*cd\s+\/(var\/run|mnt|root|dev\/shm)/
    $arch = /(mips|mpsl|arm[4567]|sh4|ppc|m68k|sparc|x86_64|i[56]86)\b/
    $get = /\b(wget|tftp|curl|ftpget)\b/
    $chmod = /chmod\s+(777|\+x)/
  condition:
    filesize < 64KB and $cd and #arch >= 4 and #get >= 3 and $chmod
}

rule dropper_powershell_encoded
{
  meta:
    title = "Hidden PowerShell with an encoded command"
    category = "dropper"
    severity = "suspicious"
  strings:
    $call = /powershell(\.exe)?\s+[^\n]{0,80}-w(indowstyle)?\s+hidden[^\n]{0,80}-e(nc|ncodedcommand|c)?\s+[A-Za-z0-9+\/]{40,}/ nocase
  condition:
    filesize < 1MB and $call
}

rule dropper_history_cleaner
{
  meta:
    title = "Script that covers its tracks"
    category = "dropper"
    severity = "suspicious"
  strings:
    $history = /(unset\s+HISTFILE|export\s+HISTFILE=\/dev\/null|history\s+-c\b)/
    $logs = /(>\s*\/var\/log\/(wtmp|btmp|lastlog|secure|auth\.log|messages)|rm\s+-rf?\s+\/var\/log\/(wtmp|secure|auth\.log|syslog))/
    $fetch = /\b(curl|wget)\s+-?\S*\s*https?:\/\//
  condition:
    filesize < 256KB and $history and #logs >= 2 and $fetch
}

rule dropper_security_killer
{
  meta:
    title = "Script that removes cloud security agents"
    category = "dropper"
    severity = "malicious"
  strings:
    $a = /(aegis|aliyun\.service|AliYunDun|aliyun-service)/
    $b = /(qcloud\/(YunJing|stargate|monitor)|YDService)/
    $remove = /(uninst(all)?\.sh|systemctl\s+(stop|disable)|pkill|killall|rm\s+-rf)/
    $fetch = /\b(curl|wget)\b/
  condition:
    filesize < 256KB and uint16(0) == 0x2123 and $a and $b and #remove >= 2 and $fetch
}
