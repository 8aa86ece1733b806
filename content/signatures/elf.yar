// Programs and libraries of Linux.
import "elf"

rule rootkit_ld_preload_hooks
{
  meta:
    title = "LD_PRELOAD rootkit: hides files and itself"
    category = "rootkit"
    severity = "malicious"
  strings:
    $dlsym = "dlsym"
    $readdir = "readdir64"
    $preload = "/etc/ld.so.preload"
    $proc = "/proc/net/tcp"
    $hide1 = "/proc/self/fd/%d"
    $hide2 = "HIDE_THIS_SHELL"
    $hide3 = "/proc/%s/stat"
  condition:
    uint32(0) == 0x464c457f and uint16(16) == 3 and filesize < 1MB and $dlsym and $readdir and $preload and ($proc or any of ($hide*))
}

rule rootkit_process_hider
{
  meta:
    title = "LD_PRELOAD library that hides a process"
    category = "rootkit"
    severity = "malicious"
  strings:
    $dlsym = "dlsym"
    $readdir = "readdir"
    $fd = "/proc/self/fd/%d"
    $stat = "/proc/%s/stat"
    $name = "process_to_filter"
  condition:
    uint32(0) == 0x464c457f and uint16(16) == 3 and filesize < 128KB and $dlsym and $readdir and $stat and ($fd or $name)
}

rule elf_infected_entry_in_data
{
  meta:
    title = "Program whose entry lies in a writable segment"
    category = "infection"
    severity = "suspicious"
    description = "A parasite that was appended to a program is started from a segment which is writable and executable."
  condition:
    // Firmware is one such segment too; a parasite comes after the program that it was appended to.
    uint32(0) == 0x464c457f and elf.type == elf.ET_EXEC and elf.number_of_segments > 1 and filesize < 20MB and
    for any i in (1..elf.number_of_segments - 1) : (
      elf.segments[i].type == elf.PT_LOAD and elf.segments[i].flags & elf.PF_W != 0 and elf.segments[i].flags & elf.PF_X != 0 and
      elf.entry_point >= elf.segments[i].offset and elf.entry_point < elf.segments[i].offset + elf.segments[i].file_size and
      for any j in (0..i - 1) : ( elf.segments[j].type == elf.PT_LOAD and elf.segments[j].offset < elf.segments[i].offset )
    )
}

rule elf_upx_without_name
{
  meta:
    title = "Packed program whose packer's name was removed"
    category = "packer"
    severity = "suspicious"
    description = "The layout of UPX with its marks altered, so that upx -d fails: common for bots, not for products."
  strings:
    $upx = "UPX!"
    $info = "$Info: This file is packed"
    $selfexe = "/proc/self/exe"
    $protect = "PROT_EXEC|PROT_WRITE failed."
  condition:
    uint32(0) == 0x464c457f and $protect and $selfexe and not $upx and not $info
}

rule bot_mirai_strings
{
  meta:
    title = "Mirai family bot"
    category = "bot"
    severity = "malicious"
  strings:
    $a = "/dev/misc/watchdog"
    $b = "/bin/busybox MIRAI"
    $c = "listening tun0"
    $d = "/proc/net/route"
    $e = "POST /cdn-cgi/"
    $f = "TSource Engine Query"
  condition:
    uint32(0) == 0x464c457f and ($b or 4 of them)
}

rule bot_gafgyt_strings
{
  meta:
    title = "Gafgyt family bot"
    category = "bot"
    severity = "malicious"
  strings:
    $a = "PING PONG" nocase
    $b = "HOLD Flooding %s"
    $c = "JUNK Flooding %s"
    $d = "UDP Flooding %s"
    $e = "REPORT %s:%s:"
    $f = "BUILD %s"
  condition:
    uint32(0) == 0x464c457f and 3 of ($b, $c, $d, $e) or (uint32(0) == 0x464c457f and $a and $f and 1 of ($b, $c, $d))
}

rule elf_memfd_loader
{
  meta:
    title = "Program that runs another one from memory after fetching it"
    category = "dropper"
    severity = "suspicious"
  strings:
    $memfd = "memfd_create"
    $fexec = "/proc/self/fd/%d"
    $get = /GET \/\S{1,60} HTTP\/1\.[01]\r\n/
    $agent = "User-Agent: "
  condition:
    uint32(0) == 0x464c457f and filesize < 2MB and all of them
}
