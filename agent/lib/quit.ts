/** Whether a look-up of a name is under way, which cannot be cancelled. It lasts for as long as the resolver waits. */
export function waitsForResolver(): boolean {
  return process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap');
}

/**
 * Ends this process. During a look-up not even `process.exit` would before the resolver gives up, half a minute later:
 * it joins the thread that waits.
 */
export async function quit(code: number): Promise<void> {
  if (waitsForResolver()) (await import('./libc.ts')).exitAtOnce(code);
  process.exit(code);
}
