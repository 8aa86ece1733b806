// Before any schema is made: our content security policy forbids code made from text, which zod would try first.
globalThis.__zod_globalConfig = { jitless: true }
