package imapd

import (
	"strings"

	"smail/imap"
	"smail/maildir"
)

// A role is what a folder is for: RFC 6154 section 2. Each has a name that is
// offered where no folder has the role, and names by which others call it.
type role struct {
	use, name string
	others    string // in small letters, separated by |
}

var roles = []role{
	{`\Archive`, "Archive", "archives|archiv|archivo|archivio|archief|arquivo|archiwum|arkiv|arkisto|arşiv|архив|归档|存档|アーカイブ|보관함"},
	{`\Drafts`, "Drafts", "draft|entwürfe|brouillons|borradores|bozze|rascunhos|concepten|kopie robocze|wersje robocze|черновики|utkast|kladder|luonnokset|koncepty|taslaklar|草稿|草稿箱|下書き|임시보관함"},
	{`\Junk`, "Junk", "spam|junk e-mail|junk email|junk mail|bulk mail|junk-e-mail|unerwünscht|indésirables|courrier indésirable|pourriel|correo no deseado|posta indesiderata|lixo eletrônico|ongewenst|ongewenste e-mail|wiadomości-śmieci|спам|нежелательная почта|skräppost|uønsket post|søppelpost|roskaposti|nevyžádaná pošta|gereksiz|垃圾邮件|迷惑メール|스팸|스팸편지함"},
	{`\Sent`, "Sent", "sent items|sent messages|sent mail|sent-mail|gesendet|gesendete objekte|gesendete elemente|envoyés|messages envoyés|éléments envoyés|enviados|elementos enviados|mensajes enviados|inviata|posta inviata|itens enviados|verzonden|verzonden items|wysłane|elementy wysłane|отправленные|skickat|skickade objekt|sendt|sendt post|sendte elementer|lähetetyt|odeslané|odeslaná pošta|gönderilenler|gönderilmiş öğeler|已发送|已发送邮件|送信済み|送信済みアイテム|보낸편지함|보낸 편지함"},
	{`\Trash`, "Trash", "deleted|deleted items|deleted messages|bin|papierkorb|gelöscht|gelöschte objekte|gelöschte elemente|corbeille|éléments supprimés|papelera|elementos eliminados|cestino|posta eliminata|lixeira|lixo|itens excluídos|prullenbak|verwijderde items|kosz|elementy usunięte|корзина|удаленные|удалённые|papperskorgen|borttaget|papirkurv|slettet post|slettede elementer|roskakori|koš|odstraněná pošta|çöp kutusu|silinmiş öğeler|已删除|已删除邮件|ゴミ箱|削除済みアイテム|휴지통"},
}

// useEntry is where a role is kept that was given to a folder: RFC 6154 section
// 5.4.
const useEntry = "/private/specialuse"

// calls says whether a folder's name is one of the role's.
func (r *role) calls(folder string) bool {
	name, err := imap.DecodeMailbox(folder)
	if err != nil {
		return false
	}
	name = strings.ToLower(name)
	return name == strings.ToLower(r.name) || strings.Contains("|"+r.others+"|", "|"+name+"|") && !strings.Contains(name, "|")
}

// isUse says whether a role is one that folders can have.
func isUse(use string) bool {
	for i := range roles {
		if equalFold(roles[i].use, use) {
			return true
		}
	}
	return false
}

// A listing is the user's folders and what they are for. Those that are
// offered do not exist yet: they are made when they are first used.
type listing struct {
	folders []string
	use     map[string]string
	offered map[string]bool
}

// listing finds out which folders there are. A role goes to the folder that it
// was given to, else to the first whose name says so, else to one that is
// offered.
func (s *session) listing() (*listing, error) {
	folders, err := s.Store.Folders()
	if err != nil {
		return nil, err
	}
	l := &listing{folders: folders, use: map[string]string{}, offered: map[string]bool{}}
	taken := map[string]bool{}
	for _, folder := range folders {
		entries, err := s.Store.Metadata(folder)
		if err != nil {
			return nil, err
		}
		for use := range strings.FieldsSeq(string(entries[useEntry])) {
			for i := range roles {
				if equalFold(use, roles[i].use) && !taken[roles[i].use] {
					l.use[folder], taken[roles[i].use] = roles[i].use, true
				}
			}
		}
	}
	for i := range roles {
		r := &roles[i]
		for _, folder := range folders {
			if !taken[r.use] && l.use[folder] == "" && r.calls(folder) {
				l.use[folder], taken[r.use] = r.use, true
			}
		}
		if !taken[r.use] && !s.Store.Exists(r.name) {
			l.folders = append(l.folders, r.name)
			l.use[r.name], l.offered[r.name] = r.use, true
		}
	}
	return l, nil
}

// offers says whether a folder that does not exist is made when it is used.
func (s *session) offers(folder string) bool {
	for i := range roles {
		if roles[i].name == folder {
			l, err := s.listing()
			return err == nil && l.offered[folder]
		}
	}
	return false
}

// makeOffered makes a folder that is offered; any other is left alone.
func (s *session) makeOffered(folder string) error {
	if s.Store.Exists(folder) || !s.offers(folder) {
		return nil
	}
	if err := s.Store.Create(folder); err != nil && err != maildir.ErrExists {
		return err
	}
	return s.Store.Subscribe(folder, true)
}

// openFolder opens a folder, which is made if it is offered.
func (s *session) openFolder(folder string, readOnly bool) (*maildir.Folder, error) {
	f, err := s.Store.OpenFolder(folder, readOnly)
	if err == maildir.ErrNoFolder {
		if err := s.makeOffered(folder); err != nil {
			return nil, err
		}
		f, err = s.Store.OpenFolder(folder, readOnly)
	}
	return f, err
}
