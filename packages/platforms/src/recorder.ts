/**
 * Records what a platform answered, so that field captures become test data. Secrets never reach the recorder:
 * connectors hand it request lines without bodies of sign-ins, and `sanitise` takes names and addresses out.
 */
export type Exchange = {
  /** `GET /api2/json/cluster/resources`, `WaitForUpdatesEx`, `DOMAIN_GET_XML_DESC web-1`. */
  request: string
  status: number
  body: string
}
export type Recorder = { record: (exchange: Exchange) => void }
