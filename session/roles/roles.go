// Package roles finds out what a user's folders are for: RFC 6154. It is IMAP's
// to say, and submission's to know where sent mail goes.
package roles

import (
	"errors"
	"strings"

	"smail/imap"
	"smail/maildir"
)

// A Role is what a folder is for: RFC 6154 section 2. Each has a name that is
// offered where no folder has the role, and names by which others call it.
type Role struct {
	Use, Name string
	others    string // in small letters, separated by |
}

var all = []Role{
	{`\Archive`, "Archive", "archives|archiv|archivo|archivio|archief|arquivo|archiwum|arkiv|arkisto|arşiv|архив|归档|存档|アーカイブ|보관함"},
	{`\Drafts`, "Drafts", "draft|entwürfe|brouillons|borradores|bozze|rascunhos|concepten|kopie robocze|wersje robocze|черновики|utkast|kladder|luonnokset|koncepty|taslaklar|草稿|草稿箱|下書き|임시보관함"},
	{`\Junk`, "Junk", "spam|junk e-mail|junk email|junk mail|bulk mail|junk-e-mail|unerwünscht|indésirables|courrier indésirable|pourriel|correo no deseado|posta indesiderata|lixo eletrônico|ongewenst|ongewenste e-mail|wiadomości-śmieci|спам|нежелательная почта|skräppost|uønsket post|søppelpost|roskaposti|nevyžádaná pošta|gereksiz|垃圾邮件|迷惑メール|스팸|스팸편지함"},
	{`\Sent`, "Sent", "sent items|sent messages|sent mail|sent-mail|gesendet|gesendete objekte|gesendete elemente|envoyés|messages envoyés|éléments envoyés|enviados|elementos enviados|mensajes enviados|inviata|posta inviata|itens enviados|verzonden|verzonden items|wysłane|elementy wysłane|отправленные|skickat|skickade objekt|sendt|sendt post|sendte elementer|lähetetyt|odeslané|odeslaná pošta|gönderilenler|gönderilmiş öğeler|已发送|已发送邮件|送信済み|送信済みアイテム|보낸편지함|보낸 편지함"},
	{`\Trash`, "Trash", "deleted|deleted items|deleted messages|bin|papierkorb|gelöscht|gelöschte objekte|gelöschte elemente|corbeille|éléments supprimés|papelera|elementos eliminados|cestino|posta eliminata|lixeira|lixo|itens excluídos|prullenbak|verwijderde items|kosz|elementy usunięte|корзина|удаленные|удалённые|papperskorgen|borttaget|papirkurv|slettet post|slettede elementer|roskakori|koš|odstraněná pošta|çöp kutusu|silinmiş öğeler|已删除|已删除邮件|ゴミ箱|削除済みアイテム|휴지통"},
}

// Entry is where a role is kept that was given to a folder: RFC 6154 section
// 5.4.
const Entry = "/private/specialuse"

// Is says whether a role is one that folders can have.
func Is(use string) bool {
	for i := range all {
		if strings.EqualFold(all[i].Use, use) {
			return true
		}
	}
	return false
}

// IsName says whether a folder's name is one that may be offered.
func IsName(folder string) bool {
	for i := range all {
		if all[i].Name == folder {
			return true
		}
	}
	return false
}

// calls says whether a folder's name is one of the role's.
func (r *Role) calls(folder string) bool {
	name, err := imap.DecodeMailbox(folder)
	if err != nil {
		return false
	}
	name = strings.ToLower(name)
	return name == strings.ToLower(r.Name) || strings.Contains("|"+r.others+"|", "|"+name+"|") && !strings.Contains(name, "|")
}

// A Listing is the user's folders and what they are for. Those that are
// offered do not exist yet: they are made when they are first used.
type Listing struct {
	Folders []string
	Use     map[string]string
	Offered map[string]bool
}

// List finds out which folders there are. A role goes to the folder that it
// was given to, else to the first whose name says so, else to one that is
// offered.
func List(store *maildir.Store) (*Listing, error) {
	folders, err := store.Folders()
	if err != nil {
		return nil, err
	}
	l := &Listing{Use: map[string]string{}, Offered: map[string]bool{}}
	taken := map[string]bool{}
	for _, folder := range folders {
		entries, err := store.Metadata(folder)
		if errors.Is(err, maildir.ErrNoFolder) { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		l.Folders = append(l.Folders, folder)
		for use := range strings.FieldsSeq(string(entries[Entry])) {
			for i := range all {
				if strings.EqualFold(use, all[i].Use) && !taken[all[i].Use] {
					l.Use[folder], taken[all[i].Use] = all[i].Use, true
				}
			}
		}
	}
	folders = l.Folders
	for i := range all {
		r := &all[i]
		for _, folder := range folders {
			if !taken[r.Use] && l.Use[folder] == "" && r.calls(folder) {
				l.Use[folder], taken[r.Use] = r.Use, true
			}
		}
		if !taken[r.Use] && !store.Exists(r.Name) {
			l.Folders = append(l.Folders, r.Name)
			l.Use[r.Name], l.Offered[r.Name] = r.Use, true
		}
	}
	return l, nil
}

// MakeOffered makes a folder that is offered; any other is left alone.
func MakeOffered(store *maildir.Store, folder string) error {
	if store.Exists(folder) || !IsName(folder) {
		return nil
	}
	if l, err := List(store); err != nil || !l.Offered[folder] {
		return nil
	}
	if err := store.Create(folder); err != nil && err != maildir.ErrExists {
		return err
	}
	return store.Subscribe(folder, true)
}

// Folder returns the folder of a role, which is made if it is offered.
func Folder(store *maildir.Store, use string) (string, error) {
	l, err := List(store)
	if err != nil {
		return "", err
	}
	for _, folder := range l.Folders {
		if l.Use[folder] == use {
			return folder, MakeOffered(store, folder)
		}
	}
	return "", maildir.ErrNoFolder
}
